"""One example of what a schema describes, the same each time: told by name, format and type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

JsonSchema = dict[str, Any]

UUID: Final = "3f2b8c14-5d6e-4a7b-9c8d-0e1f2a3b4c5d"
_TIME: Final = "2026-01-15T08:30:00Z"
_FORMATS: Final[Mapping[str, object]] = {
    "uuid": UUID,
    "date-time": _TIME,
    "date": "2026-01-15",
    "time": "08:30:00",
    "binary": '{"level":"info","message":"started","timestamp":"2026-01-15T08:30:00Z"}\n',
}
_NAMES: Final[Mapping[str, object]] = {
    "name": "press-1",
    "devicename": "press-1",
    "devicetype": "gateway",
    "username": "ada",
    "email": "ada@example.com",
    "fullname": "Ada Lovelace",
    "password": "correct horse battery",
    "role": "owner",
    "accesstoken": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
    "metric": "oil_temp",
    "metrics": "oil_temp",
    "metricname": "oil_temp",
    "interval": "1h",
    "unit": "°C",
    "quality": "good",
    "protocol": "modbus",
    "value": 61.5,
    "status": "online",
    "message": "Done",
    "batchid": "3f2b8c14-1768465800000-1",
    "ipaddress": "10.0.0.17",
    "host": "fleet.example.com:3002",
    "macaddress": "02:42:ac:11:00:02",
    "osversion": "Debian 12",
    "architecture": "aarch64",
    "version": 1,
    "agentversion": "2.4.0",
    "page": 1,
    "limit": 10,
    "description": "Line 3",
    "topic": "i/acme/a/press-1/state",
    "apps": {"1": {"appId": 1, "appName": "collector", "services": []}},
    "config": {},
}


class Examples:
    """Makes examples for one document; `components` are its named schemas."""

    def __init__(self, components: Mapping[str, JsonSchema]) -> None:
        self._components = components

    def of(self, schema: JsonSchema, name: str = "") -> Any:
        """Return a value that fits the schema; `name` is the member's or parameter's."""
        if "$ref" in schema:
            return self.of(self._components[schema["$ref"].rpartition("/")[2]], name)
        if "const" in schema:
            return schema["const"]
        if "default" in schema and schema["default"] is not None:
            return schema["default"]
        if "enum" in schema:
            return schema["enum"][0]
        if "anyOf" in schema:
            return self.of(schema["anyOf"][0], name)
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return [self.of(schema.get("items", {}), name)]
        return self._leaf(schema, kind, name)

    def _object(self, schema: JsonSchema) -> dict[str, Any]:
        found = {key: self.of(each, key) for key, each in schema.get("properties", {}).items()}
        if isinstance(schema.get("additionalProperties"), dict):
            found["press-1"] = self.of(schema["additionalProperties"])
        return found

    @staticmethod
    def _leaf(schema: JsonSchema, kind: str | None, name: str) -> Any:
        known = _NAMES.get(name.replace("_", "").replace("-", "").lower())
        form = str(schema.get("format"))
        if kind == "string":
            if form in _FORMATS:
                return _FORMATS[form]
            if name.lower() in {"id", "uuid"} or name.lower().endswith("uuid"):
                return UUID
            return known if isinstance(known, str) else "text"
        if kind == "integer":
            return known if isinstance(known, int) else 1
        if kind == "number":
            return known if isinstance(known, float) else 12.5
        if kind == "boolean":
            return True
        return None if kind == "null" else (known if known is not None else {})
