from __future__ import annotations

from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from rest_compat.openapi import build_openapi
from tests.rest_compat.harness import Harness, served
from tests.rest_compat.toy import KNOWN


def document() -> dict[str, Any]:
    schema, catalog = served()
    return build_openapi(catalog, schema=schema, title="Toy", version="1", description="About")


def body_of(operation: dict[str, Any], status: str = "200") -> dict[str, Any]:
    schema: dict[str, Any] = operation["responses"][status]["content"]["application/json"]["schema"]
    return schema


def test_equal_catalogs_give_equal_bytes() -> None:
    assert orjson.dumps(document()) == orjson.dumps(document())


def test_every_route_is_there_with_its_words() -> None:
    paths = document()["paths"]
    _, catalog = served()
    assert {(e.path, e.method.lower()) for e in catalog.endpoints} == {
        (path, method) for path, methods in paths.items() for method in methods
    }
    listed = paths["/api/v1/agents"]["get"]
    assert listed["operationId"] == "ListAgents"
    assert listed["summary"] == "The agents of the tenant."
    assert listed["tags"] == ["agents"]
    ids = [op["operationId"] for methods in paths.values() for op in methods.values()]
    assert len(ids) == len(set(ids))


def named(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters that are variables of the operation."""
    return [each for each in operation["parameters"] if "name" in each]


def test_variables_become_parameters_and_bodies() -> None:
    paths = document()["paths"]
    parameters = {each["name"]: each for each in named(paths["/api/v1/agents"]["get"])}
    assert parameters["limit"]["schema"] == {"type": "integer", "format": "int32", "default": 10}
    assert parameters["state"]["description"] == "Only these states."
    assert parameters["uuids"]["schema"]["type"] == "array"
    made = paths["/api/v1/agents"]["post"]
    assert [each["name"] for each in named(made)] == ["dryRun"]
    assert {"$ref": "#/components/parameters/Idempotency-Key"} in made["parameters"]
    body = made["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["deviceName"]
    assert body["properties"]["deviceName"] == {"type": "string"}
    assert body["properties"]["tags"]["default"] == ["new"]
    assert body["properties"]["place"]["anyOf"][0] == {"$ref": "#/components/schemas/PlaceInput"}
    logs = paths["/api/v1/device/{uuid}/logs"]["post"]
    assert list(logs["requestBody"]["content"]) == ["application/octet-stream"]
    told = {(each["name"], each["in"], each["required"]) for each in named(logs)}
    assert told == {
        ("uuid", "path", True),
        ("X-Batch-Id", "header", False),
        ("X-Batch-Attempt", "header", False),
    }
    report = paths["/api/v1/device/state"]["patch"]
    assert report["requestBody"]["required"]
    assert "bearer" not in str(paths["/api/v1/agent/register"]["post"]["requestBody"])


def test_selections_become_answers() -> None:
    paths = document()["paths"]
    row = body_of(paths["/api/v1/agents/{uuid}"]["get"])
    assert row["type"] == "object"
    assert list(row["properties"]) == ["id", "uuid", "name", "device_name", "status", "lastSeen"]
    listed = body_of(paths["/api/v1/agents"]["get"])
    assert list(listed["properties"]) == ["count", "agents", "pagination"]
    assert "tags" not in listed["properties"]["agents"]["items"]["required"]
    limit = listed["properties"]["pagination"]["properties"]["limit"]
    assert limit["type"] == ["integer", "null"]
    made = body_of(paths["/api/v1/agents"]["post"], "201")
    assert list(made["properties"]) == ["success", "message", "device", "given"]
    assert made["required"][:2] == ["success", "message"]
    data = body_of(paths["/api/v1/agent-alias"]["put"])
    assert list(data["properties"]) == ["message", "data"]
    assert list(data["properties"]["data"]["properties"]) == ["device", "given"]
    detail = body_of(paths["/api/v1/agents/{uuid}/detail"]["get"])
    assert detail["properties"]["device"]["type"] == "object"
    rows = body_of(paths["/api/v1/readings/{uuid}"]["get"])["properties"]["readings"]
    assert rows["type"] == ["array", "null"]
    assert rows["items"]["properties"]["value"]["type"] == ["number", "null"]
    assert rows["items"]["properties"]["metric_name"] == {"type": "string"}
    assert rows["items"]["properties"]["unit"] == {"type": "string"}
    assert rows["items"]["required"] == ["time", "metric_name", "value"]
    names = body_of(paths["/api/v1/agents/names"]["get"])
    assert list(names["items"]["properties"]) == ["name", "state"]
    assert names["items"]["required"] == ["name"]
    assert len(body_of(paths["/api/v1/things/{name}"]["get"])["anyOf"]) == 2
    assert body_of(paths["/api/v1/device/state"]["patch"])["required"] == ["status"]
    assert "content" not in paths["/api/v1/agents/{uuid}"]["delete"]["responses"]["204"]


def test_statuses_security_and_problems() -> None:
    told = document()
    paths = told["paths"]
    logs = paths["/api/v1/device/{uuid}/logs"]["post"]
    assert {"200", "202", "400", "413", "500", "503"} <= set(logs["responses"])
    assert logs["security"] == [{"deviceKey": []}]
    poll = paths["/api/v1/device/{uuid}/state"]["get"]
    assert "304" in poll["responses"]
    assert "413" not in poll["responses"]
    assert "ETag" in poll["responses"]["200"]["headers"]
    assert {"$ref": "#/components/parameters/If-None-Match"} in poll["parameters"]
    assert "202" in paths["/api/v1/device/state"]["patch"]["responses"]
    assert paths["/api/v1/motd"]["get"]["security"] == []
    missing = paths["/api/v1/agents/{uuid}"]["get"]["responses"]["404"]
    assert missing["description"] == "Device not found"
    assert list(missing["content"]) == ["application/problem+json"]
    assert set(told["components"]["securitySchemes"]) == {"bearer", "deviceKey"}


def test_every_reference_leads_somewhere() -> None:
    text = orjson.dumps(document()).decode()
    schemas = document()["components"]["schemas"]
    for part in text.split('"$ref":"#/components/schemas/')[1:]:
        assert part.split('"')[0] in schemas


def fits(value: object, schema: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """A small judge of the schemas that we write."""
    if "$ref" in schema:
        return fits(value, schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    if "anyOf" in schema:
        return any(fits(value, form, schemas) for form in schema["anyOf"])
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema and value not in schema["enum"]:
        return False
    kinds = schema.get("type", [])
    names = {
        str: "string",
        int: "integer",
        bool: "boolean",
        float: "number",
        list: "array",
        dict: "object",
    }
    name = "null" if value is None else names[type(value)]
    if kinds and name not in ([kinds] if isinstance(kinds, str) else kinds):
        return False
    if isinstance(value, list):
        return all(fits(each, schema.get("items", {}), schemas) for each in value)
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        is_whole = set(schema.get("required", ())) <= set(value) <= set(known)
        return is_whole and all(fits(each, known[key], schemas) for key, each in value.items())
    return True


@pytest.mark.parametrize(
    ("method", "path", "url", "body"),
    [
        ("get", "/api/v1/agents", "/api/v1/agents", None),
        ("get", "/api/v1/agents/{uuid}", f"/api/v1/agents/{KNOWN}", None),
        ("get", "/api/v1/agents/{uuid}", "/api/v1/agents/nope", None),
        ("get", "/api/v1/agents/{uuid}/detail", f"/api/v1/agents/{KNOWN}/detail", None),
        ("get", "/api/v1/readings/{uuid}", f"/api/v1/readings/{KNOWN}", None),
        ("get", "/api/v1/readings/{uuid}", f"/api/v1/readings/{KNOWN}?metric=null", None),
        ("get", "/api/v1/agents/names", "/api/v1/agents/names", None),
        ("get", "/api/v1/things/{name}", "/api/v1/things/Riga", None),
        ("get", "/api/v1/things/{name}", "/api/v1/things/press", None),
        ("get", "/api/v1/device/{uuid}/state", f"/api/v1/device/{KNOWN}/state", None),
        ("post", "/api/v1/agents", "/api/v1/agents", b'{"deviceName": "x"}'),
        ("put", "/api/v1/agent-alias", "/api/v1/agent-alias", b'{"deviceName": "x"}'),
        ("patch", "/api/v1/device/state", "/api/v1/device/state", b"{}"),
        ("post", "/api/v1/device/{uuid}/logs", f"/api/v1/device/{KNOWN}/logs", b"x"),
        ("get", "/api/v1/fail/{how}", "/api/v1/fail/RATE_LIMITED", None),
    ],
)
def test_what_is_served_is_what_is_documented(
    method: str, path: str, url: str, body: bytes | None
) -> None:
    told = document()
    with Harness().client() as client:
        answer = _sent(client, method, url, body)
    response = told["paths"][path][method]["responses"][str(answer.status_code)]
    schema = response["content"][answer.headers["content-type"]]["schema"]
    value = answer.json()
    if answer.status_code >= 400:
        value.pop("retryAfter", None)
    assert fits(value, schema, told["components"]["schemas"]), value
    assert not fits([{"no": 1}], schema, told["components"]["schemas"]) or schema == {}


def _sent(client: TestClient, method: str, url: str, body: bytes | None) -> Any:
    return client.request(method.upper(), url, content=body)
