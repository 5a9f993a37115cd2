"""Scalars of the contract and how they look in JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NewType

import numpy as np
import strawberry
from graphql import ValueNode, value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

Column = NewType("Column", object)
Value = NewType("Value", object)
Json = NewType("Json", object)
Long = NewType("Long", int)
DateOrTime = NewType("DateOrTime", date)

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SECONDS_MAX = 10**13  # what a timedelta holds
_SHORT = re.compile(r"([0-9]{1,10})([smhdw])", re.ASCII)
_ISO = re.compile(
    r"P(?:([0-9]{1,7})D)?(?:T(?:([0-9]{1,7})H)?(?:([0-9]{1,7})M)?(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)S)?)?",
    re.ASCII,
)


def write_column(value: object) -> list[object]:
    """Return the column as a list of plain Python values."""
    if isinstance(value, np.ndarray):
        return list(value.tolist())
    if isinstance(value, list):
        return value
    raise TypeError(f"a Column holds a list or an array, not {type(value).__name__}")


def read_duration(value: object) -> timedelta:
    """Return the duration in `90s`, `1m`, `1h`, `1d`, `1w` or `PT1M30S`; above zero."""
    found = _parse_duration(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a duration is a text such as 30s, 1m, 1h, 1d or PT1M30S")
    if found <= timedelta(0):
        raise ValueError("a duration is longer than nothing")
    return found


def _parse_duration(text: str) -> timedelta | None:
    if short := _SHORT.fullmatch(text):
        total = int(short[1]) * _UNIT_SECONDS[short[2]]
        return timedelta(seconds=total) if total < _SECONDS_MAX else None
    iso = _ISO.fullmatch(text)
    if iso is None or not any(iso.groups()):
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in iso.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def write_duration(value: timedelta) -> str:
    """Return the duration in the largest unit that divides it: `1h`, `90s`."""
    seconds = value.total_seconds()
    for unit in "dhm":
        if seconds and seconds % _UNIT_SECONDS[unit] == 0:
            return f"{int(seconds // _UNIT_SECONDS[unit])}{unit}"
    return f"{int(seconds)}s" if seconds == int(seconds) else f"PT{seconds:.6f}S"


def write_moment(value: datetime) -> str:
    """Return ISO-8601 in UTC with `Z`; milliseconds, or microseconds where there are any."""
    moment = value.astimezone(UTC)
    precision = "microseconds" if moment.microsecond % 1_000 else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def read_moment(value: object) -> datetime:
    """Return the moment in an ISO-8601 text; without a zone it is UTC."""
    if not isinstance(value, str):
        raise ValueError("a DateTime is a text in ISO-8601")  # noqa: TRY004  # an input error
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("a DateTime is a text such as 2026-03-01T10:00:00Z") from None


def read_date_or_time(value: object) -> date:
    """Return the date in a text of ten characters, and the moment in any other."""
    if isinstance(value, str) and len(value) == 10:
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError("a date is a text such as 2026-03-01") from None
    return read_moment(value)


def read_bytes(value: object) -> bytes:
    """Return the bytes of a text; callers inside the process hand bytes over as they are."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise ValueError("Bytes come as text")


def read_long(value: object) -> int:
    """Return a whole number of up to 53 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**53:
        raise ValueError("a Long is a whole number of up to 53 bits")
    return value


def read_json_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    """Return the value of a literal; refuse numbers that JSON cannot say.

    What comes as a variable was JSON, and needs no look.
    """
    value = value_from_ast_untyped(node, variables)
    level = [("", value)]
    while level:  # not recursive: how deep it is, is checked elsewhere
        path, found = level.pop()
        if isinstance(found, dict):
            level += [(f"{path}.{key}", each) for key, each in found.items()]
        elif isinstance(found, list):
            level += [(f"{path}[{at}]", each) for at, each in enumerate(found)]
        elif isinstance(found, float) and not math.isfinite(found):
            raise ValueError(f"a number must be finite{_at(path)}")
        elif isinstance(found, int) and not _INTEGER_MIN <= found <= _INTEGER_MAX:
            raise ValueError(f"a whole number must fit 64 bits{_at(path)}")
    return value


_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**64 - 1  # what JSON is written with


def _at(path: str) -> str:
    return f", at {path.lstrip('.')[:100]}" if path else ""


def _output_only(value: object) -> Any:
    raise ValueError("this scalar is for answers only")


def _input_only(value: object) -> Any:
    raise TypeError("this scalar is for inputs only")


def _as_it_is(value: Any) -> Any:
    return value


SCALARS: Mapping[object, ScalarDefinition] = {
    Column: strawberry.scalar(
        name="Column",
        description=(
            "A whole column in one value: a JSON array. Numbers, booleans, texts and nulls come as "
            "they were sent; NaN and infinities, which JSON cannot say, come as null."
        ),
        serialize=write_column,
        parse_value=_output_only,
    ),
    Value: strawberry.scalar(
        name="Value",
        description="What was read: a number, a boolean, a text or null. NaN comes as null.",
        serialize=_as_it_is,
        parse_value=_output_only,
    ),
    Json: strawberry.scalar(
        name="JSON",
        description="Any JSON value, as it is.",
        specified_by_url="https://ecma-international.org/publications-and-standards/standards/ecma-404/",
        serialize=_as_it_is,
        parse_value=_as_it_is,
        parse_literal=read_json_literal,
    ),
    Long: strawberry.scalar(
        name="Long",
        description="A whole number of up to 53 bits, which every JSON reader keeps exactly.",
        serialize=int,
        parse_value=read_long,
    ),
    timedelta: strawberry.scalar(
        name="Duration",
        description="A length of time: `30s`, `1m`, `1h`, `1d`, `1w`, or ISO-8601 such as `PT15M`.",
        serialize=write_duration,
        parse_value=read_duration,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment in ISO-8601, answered in UTC with `Z`; without a zone it is read as UTC.",
        serialize=write_moment,
        parse_value=read_moment,
    ),
    DateOrTime: strawberry.scalar(
        name="DateOrTime",
        description="A moment as in DateTime, or a date such as 2026-03-01: that whole day in UTC.",
        serialize=_input_only,
        parse_value=read_date_or_time,
    ),
    bytes: strawberry.scalar(
        name="Bytes",
        description="A body as it came; over GraphQL its UTF-8 text.",
        serialize=lambda value: bytes(value).decode(errors="replace"),
        parse_value=read_bytes,
    ),
}
"""For StrawberryConfig(scalar_map=…)."""
