"""The forms in which agents send readings, brought to one: groups of readings with a scope.

Two ways lead there. The typed decoders make `Batch` straight from the bytes of a well-formed
batch. `groups_of_object` takes any object apart piece by piece, so that a bad piece costs only
itself, and knows the rarer forms as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from core.payloads import Undecodable

READINGS_MAX: Final = 100_000

_WIRE_NAMES: Final = {
    "device_name": "deviceName",
    "msg_id": "msgId",
    "node_name": "nodeName",
    "node_type": "nodeType",
    "device_name_2": "device_name",
    "device_uuid_2": "deviceUuid",
    "device_uuid_3": "asset_uuid",
    "endpoint_uuid_2": "endpointUuid",
}


Value = float | bool | str | None


class Reading(msgspec.Struct, gc=False, rename=_WIRE_NAMES):
    """One reading as sent. Times are ISO text or epoch milliseconds; None is absent.

    The rarer spellings may only be null here: a message that uses one fails the typed decoders
    and is read by `groups_of_object`, so that the usual message does not pay for them.
    """

    timestamp: str | float | None = None
    device_name: str | None = None
    endpoint_uuid: str | None = None
    device_uuid: str | None = None
    protocol: str | None = None
    metric: str | None = None
    value: Value = None
    unit: str | None = None
    quality: str | float | bool | None = None
    name: None = None
    node_name: None = None
    node_type: None = None
    device_name_2: None = None
    device_uuid_2: None = None
    device_uuid_3: None = None
    endpoint_uuid_2: None = None


class Element(Reading, gc=False, rename=_WIRE_NAMES):
    """A member of `messages`: the readings of one poll, or one reading itself."""

    readings: list[Reading] | None = None


class Metadata(msgspec.Struct, gc=False):
    """What a wrapper may say about its contents."""

    protocol: str | None = None


class Batch(Element, gc=False, rename=_WIRE_NAMES):
    """A whole message; `messages` comes before `readings` when both are there."""

    messages: list[Element] | None = None
    msg_id: str | None = None
    metadata: Metadata | None = None


class Group(NamedTuple):
    """Readings that share what `scope` says; `parts` are the pieces they were read from."""

    scope: Element | None
    readings: Sequence[Reading]
    parts: Sequence[object] = ()


class Unreadable(Exception):
    """One part of a message is no reading; the rest lives."""


Refuse = Callable[[str, object], None]
_R = TypeVar("_R", bound=Reading)

_SPELLINGS: Final = {
    "metric": ("metric", "nodeName", "name"),
    "device_name": ("deviceName", "device_name"),
    "device_uuid": ("device_uuid", "deviceUuid", "asset_uuid"),
    "endpoint_uuid": ("endpoint_uuid", "endpointUuid"),
    "protocol": ("protocol",),
    "unit": ("unit",),
}
_OUTER: Final = ("deviceName", "device_name", "protocol", "timestamp", "metadata", "msgId")
_ECP_BOOLEAN: Final = 1


def groups_of_batch(batch: Batch) -> list[Group]:
    """Return the groups of a typed batch in the order of the message."""
    if batch.messages is None:
        return [Group(batch, batch.readings or ())]
    groups: list[Group] = []
    flat: list[Element] = []
    for element in batch.messages:
        if element.readings is None:
            flat.append(element)
            continue
        if flat:
            groups.append(Group(None, flat))
            flat = []
        groups.append(Group(element, element.readings))
    if flat:
        groups.append(Group(None, flat))
    return groups


def groups_of_object(message: object, refuse: Refuse) -> tuple[Batch, list[Group]]:
    """Take any accepted form apart; pieces that are no readings go to `refuse(reason, piece)`.

    Raises Undecodable when nothing of the message can be understood.
    """
    if not isinstance(message, dict):
        raise Undecodable("not an object")
    fields = _unwrapped(message)
    batch = _loosely(fields, Batch)
    batch.msg_id = _text(fields.get("msgId"))
    metadata = fields.get("metadata")
    if isinstance(metadata, dict):
        batch.metadata = Metadata(_text(metadata.get("protocol")))
    if _is_metadata(fields):
        return batch, []  # describes nodes, measures nothing
    if fields.get("messages") is not None:
        return batch, _groups_of_messages(_list(fields, "messages"), refuse)
    if fields.get("readings") is not None:
        return batch, [_group(_loosely(fields, Element), _list(fields, "readings"), refuse)]
    for form in ("tags", "features"):
        if fields.get(form) is not None:
            return batch, [_group_of_tags(fields, _list(fields, form), refuse)]
    return batch, _groups_of_single(fields, refuse)


def _unwrapped(message: dict[Any, Any]) -> dict[Any, Any]:
    inner = message.get("data")
    if not isinstance(inner, dict) or any(message.get(form) for form in ("messages", "readings")):
        return message
    return {key: message[key] for key in _OUTER if key in message} | inner


def _list(fields: dict[Any, Any], key: str) -> list[Any]:
    items = fields[key]
    if not isinstance(items, list):
        raise Undecodable(f"{key} is not a list")
    if len(items) > READINGS_MAX:
        raise Undecodable(f"more than {READINGS_MAX} readings")
    return items


def _groups_of_messages(items: list[Any], refuse: Refuse) -> list[Group]:
    groups: list[Group] = []
    room = READINGS_MAX
    for item in items:
        inner = item.get("readings") if isinstance(item, dict) else None
        if _is_metadata(item):
            continue
        if inner is None:
            groups.append(_group(None, [item], refuse))
        elif isinstance(inner, list):
            room -= len(inner)
            if room < 0:
                raise Undecodable(f"more than {READINGS_MAX} readings")
            groups.append(_group(_loosely(item, Element), inner, refuse))
        else:
            refuse("readings is not a list", item)
    return groups


def _groups_of_single(fields: dict[Any, Any], refuse: Refuse) -> list[Group]:
    if "v" in fields and ("p" in fields or ("i" in fields and "d" in fields)):
        raise Undecodable("key compaction is not supported; send whole objects")
    if "value" in fields or any(name in fields for name in _SPELLINGS["metric"]):
        return [_group(None, [fields], refuse)]
    if "endpoint" in fields and "state" in fields:
        return []  # an endpoint's sign of life
    raise Undecodable("holds no readings in a form that is known")


def _is_metadata(item: object) -> bool:
    return isinstance(item, dict) and item.get("nodeType") == "metadata"


def _group(scope: Element | None, items: list[Any], refuse: Refuse) -> Group:
    readings: list[Reading] = []
    parts: list[object] = []
    for item in items:
        if _is_metadata(item):
            continue
        try:
            readings.append(_reading(item))
            parts.append(item)
        except Unreadable as reason:
            refuse(str(reason), item)
    return Group(scope, readings, parts)


def _group_of_tags(fields: dict[Any, Any], items: list[Any], refuse: Refuse) -> Group:
    scope = _loosely(fields, Element)
    scope.device_name = _text(fields.get("node")) or scope.device_name
    scope.protocol = scope.protocol or _text(fields.get("group"))
    group = _group(scope, items, refuse)
    for reading, item in zip(group.readings, group.parts, strict=True):
        _finish_tag(reading, item)
    return group


def _finish_tag(reading: Reading, item: Any) -> None:
    """Add what the formats with tags and features say in their own words."""
    reading.metric = _first(item, *_SPELLINGS["metric"], "rawName")
    reading.unit = _first(item, "unit", "rawUnit")
    if reading.quality is None:
        reading.quality = _text(item.get("dqStatus"))
    if item.get("error") and reading.value is None:
        reading.quality = "bad"
    boolean = item.get("type") == _ECP_BOOLEAN or item.get("dtype") in ("bool", "boolean")
    if boolean and reading.value in {0.0, 1.0}:
        reading.value = bool(reading.value)


def _reading(item: object) -> Reading:
    if not isinstance(item, dict):
        raise Unreadable("a reading is not an object")
    reading = _loosely(item, Reading)
    value = item.get("value")
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            raise Unreadable("value is out of range") from None
    if not isinstance(value, float | bool | str | None):
        raise Unreadable(f"value is of type {type(value).__name__}")
    reading.value = value
    quality = item.get("quality")
    reading.quality = quality if isinstance(quality, str | int | float) else None
    return reading


def _loosely(item: dict[Any, Any], kind: type[_R]) -> _R:
    """Read the texts and the time of an object; a text of another type counts as absent."""
    made = kind(timestamp=_stamp(item.get("timestamp")))
    for attribute, spellings in _SPELLINGS.items():
        setattr(made, attribute, _first(item, *spellings))
    return made


def _stamp(value: object) -> str | float | None:
    """Return a time as it is; one of a wrong type as text that fails when it is needed."""
    if value is None or isinstance(value, str | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return float(value)
    return f"of type {type(value).__name__}"


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    return None


def _first(item: dict[Any, Any], *keys: str) -> str | None:
    return next((text for key in keys if (text := _text(item.get(key)))), None)
