"""What clients say in graphql-transport-ws, read strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import InvalidInput
from fleetgraph.graphql.codes import CloseCode, Violation
from fleetgraph.graphql.incoming import read_json

ID_CHARS_MAX = 256
"""An id is repeated in every frame of its subscription."""

Payload = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ConnectionInit:
    """The introduction, perhaps with a credential."""

    payload: Payload


@dataclass(frozen=True, slots=True)
class Ping:
    """Wants to be answered, with the same payload."""

    payload: Payload


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a ping, or just shows that the client lives."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Starts an operation; `request` is as yet unread."""

    id: str
    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Complete:
    """Ends an operation."""

    id: str


Message = ConnectionInit | Ping | Pong | Subscribe | Complete


def read_message(data: str | bytes) -> Message:
    """Return the message; raises Violation for anything else."""
    try:
        members = read_json(data.encode() if isinstance(data, str) else data)
    except InvalidInput as error:
        raise invalid(error.message) from None
    if not isinstance(members, dict):
        raise invalid("a message is a JSON object")
    type_ = members.get("type")
    read = _READERS.get(type_) if isinstance(type_, str) else None
    if read is None:
        raise invalid("type: is no type of message that clients send")
    return read(members)


def invalid(reason: str) -> Violation:
    """Return the violation of sending what is no message."""
    return Violation(CloseCode.INVALID_MESSAGE, f"Invalid message: {reason}")


def _payload(members: Mapping[str, Any]) -> Payload:
    payload = members.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise invalid("payload: must be an object or null")
    return payload


def _id(members: Mapping[str, Any]) -> str:
    id_ = members.get("id")
    if not isinstance(id_, str) or not id_:
        raise invalid("id: must be a text, not empty")
    if len(id_) > ID_CHARS_MAX:
        raise invalid(f"id: has more than {ID_CHARS_MAX} characters")
    return id_


def _pong(members: Mapping[str, Any]) -> Pong:
    _payload(members)
    return Pong()


def _subscribe(members: Mapping[str, Any]) -> Subscribe:
    id_, payload = _id(members), members.get("payload")
    if not isinstance(payload, dict):
        raise invalid("payload: must be an object")
    return Subscribe(id_, payload)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Message]] = {
    "connection_init": lambda members: ConnectionInit(_payload(members)),
    "ping": lambda members: Ping(_payload(members)),
    "pong": _pong,
    "subscribe": _subscribe,
    "complete": lambda members: Complete(_id(members)),
}
