"""Messages, and parts of messages, that could not be read: kept with the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tortoise import connections

from models.unit_of_work import database_errors

PAYLOAD_BYTES_MAX = 256 * 1024
"""Longer payloads are cut; the reason says how long they were."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What was dropped. `tenant_id` is 0 when the topic names no known agent."""

    tenant_id: int
    agent_id: int | None
    topic: str
    reason: str
    payload: bytes
    received_at: datetime


async def insert_dead_letters(letters: Sequence[DeadLetter]) -> None:
    """Keep `letters`; one that is there already, by content, stays one."""
    with database_errors():
        async with connections.get("default").acquire_connection() as conn:
            await conn.executemany(_INSERT, [_record(letter) for letter in letters])


_INSERT = (
    "insert into dead_letter (tenant_id, agent_id, topic, reason, digest, payload, received_at)"
    " values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id, digest) do nothing"
)


def _record(letter: DeadLetter) -> tuple[Any, ...]:
    head = f"{letter.topic}\x1f{letter.reason}\x1f".encode()
    digest = hashlib.sha256(head + letter.payload).digest()[:16]
    reason = letter.reason
    if len(letter.payload) > PAYLOAD_BYTES_MAX:
        reason = f"{reason} (cut: {len(letter.payload)} bytes)"
    return (
        letter.tenant_id,
        letter.agent_id,
        letter.topic.replace("\x00", "�")[:1000],
        reason.replace("\x00", "�")[:1000],
        digest,
        letter.payload[:PAYLOAD_BYTES_MAX],
        letter.received_at,
    )
