"""The one place that builds and splits MQTT topics of agents, both ways.

A topic is `i/{tenant}/a/{agent}/{channel…}`. Ids are shortened on the wire: a UUID to 22
characters of base64url, twelve hex digits to 8, anything else stands as it is.

    >>> encode_id("3f2b8c14-5d6e-4a7b-9c8d-0e1f2a3b4c5d")
    'PyuMFF1uSnucjQ4fKjtMXQ'
    >>> decode_tenant_id("ChssPU5f")
    '0a1b2c3d4e5f'
    >>> parse("i/ChssPU5f/a/PyuMFF1uSnucjQ4fKjtMXQ/endpoints/modbus").channel
    ('endpoints', 'modbus')
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

SUBSCRIPTIONS: Final = tuple(
    f"i/+/a/+/{channel}"
    for channel in (
        "endpoints/+",
        "state",
        "metrics",
        "events/+",
        "agent/+",
        "jobs/+/update",
        "jobs/start-next",
        "meta/#",
    )
)
"""What the cloud listens to, for all tenants and agents."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_TWELVE_HEX = re.compile(r"[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_SHORT = re.compile(r"[A-Za-z0-9_-]{8}|[A-Za-z0-9_-]{22}", re.ASCII)
_FORBIDDEN = re.compile(r"[/+#\x00]")


class BadTopic(ValueError):
    """A topic, user name or id that is not of an agent's form."""


@dataclass(frozen=True, slots=True)
class AgentTopic:
    """Where a message of an agent belongs.

    Attributes:
        tenant: the tenant's id as text: a lower-case UUID, twelve hex digits, or a name.
        agent: the agent.
        channel: what follows, by level: `("endpoints", "modbus")`.
    """

    tenant: str
    agent: UUID
    channel: tuple[str, ...]


@lru_cache(maxsize=16_384)
def parse(topic: str) -> AgentTopic:
    """Split a topic; raises BadTopic for any that is not of an agent."""
    levels = topic.split("/")
    if len(levels) < 5 or levels[0] != "i" or levels[2] != "a" or not all(levels):
        raise BadTopic(f"not a topic of an agent: {topic[:200]!r}")
    return AgentTopic(decode_tenant_id(levels[1]), decode_agent_id(levels[3]), tuple(levels[4:]))


def format_topic(tenant: str, agent: UUID, *channel: str) -> str:
    """Return the topic of an agent's channel; levels may not hold `/`, `+` or `#`."""
    if not channel:
        raise BadTopic("a topic needs a channel")
    levels = "/".join(_level(level) for level in channel)
    return f"i/{encode_id(tenant)}/a/{encode_id(str(agent))}/{levels}"


def agent_username(tenant: str, agent: UUID) -> str:
    """Return the broker user of an agent, so made that one ACL pattern fits all agents."""
    return f"{encode_id(tenant)}/a/{encode_id(str(agent))}"


def endpoint_username(tenant: str, endpoint: UUID) -> str:
    """Return the broker user of an MQTT endpoint's sensors; no agent can have this name."""
    return f"{encode_id(tenant)}/d/{encode_id(str(endpoint))}"


def parse_username(username: str) -> tuple[str, UUID]:
    """Return tenant and agent of a broker user; raises BadTopic if it is not an agent's."""
    levels = username.split("/")
    if len(levels) != 3 or levels[1] != "a" or not levels[0]:
        raise BadTopic(f"not the user name of an agent: {username[:200]!r}")
    return decode_tenant_id(levels[0]), decode_agent_id(levels[2])


def encode_id(text: str) -> str:
    """Return an id as a topic level.

    Raises BadTopic for text that would break a topic, and for names of 8 or 22 characters that
    would be taken for a shortened id when they come back.
    """
    if _UUID.fullmatch(text):
        return _shorten(UUID(text).bytes)
    if _TWELVE_HEX.fullmatch(text):
        return _shorten(bytes.fromhex(text))
    if _SHORT.fullmatch(text) and _lengthen(text) is not None:
        raise BadTopic(f"{text!r} looks like a shortened id")
    return _level(text)


def decode_agent_id(level: str) -> UUID:
    """Return the agent of a topic level, shortened or in full; raises BadTopic otherwise."""
    if len(level) == 22:
        raw = _lengthen(level)
        if raw is not None:
            return UUID(bytes=raw)
    elif _UUID.fullmatch(level):
        return UUID(level)
    raise BadTopic(f"not the id of an agent: {level[:80]!r}")


def decode_tenant_id(level: str) -> str:
    """Return the tenant of a topic level: UUIDs in lower case, names as they are."""
    raw = _lengthen(level) if len(level) in {8, 22} else None
    if raw is not None:
        return raw.hex() if len(level) == 8 else str(UUID(bytes=raw))
    return level.lower() if _UUID.fullmatch(level) else level


def _level(text: str) -> str:
    if not text or _FORBIDDEN.search(text):
        raise BadTopic(f"not fit for a topic: {text[:80]!r}")
    return text


def _shorten(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _lengthen(level: str) -> bytes | None:
    """Undo `_shorten`; None for what it cannot have made, so that an id has one spelling."""
    if not _SHORT.fullmatch(level):
        return None
    raw = urlsafe_b64decode(level + "=" * (-len(level) % 4))
    return raw if _shorten(raw) == level else None
