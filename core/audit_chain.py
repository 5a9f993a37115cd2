"""The chain of audit rows: what is hashed, what is signed. Pure; docs/audit.md is its contract."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from core.clock import micros
from core.derived_secrets import DerivedSecrets

START_HASH: Final = bytes(32)
"""Stands before a tenant's first row."""

ROWS_APART_MAX: Final = 1_000
"""Of every so many positions the last checkpoint within them is kept, and the last of an hour."""

_HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class ChainRow:
    """All columns of an audit row but its hash. `position` counts from 1 within the tenant."""

    tenant_id: int
    position: int
    id: int
    xid: int
    event_type: str
    severity: str
    actor: str
    user_id: UUID | None
    api_key_id: UUID | None
    session_id: UUID | None
    agent_uuid: UUID | None
    subject: str
    ip_address: str
    user_agent: str
    request_id: str
    details: Any
    created_at: datetime

    def members(self) -> dict[str, Any]:
        """Return the row as JSON has it; `created_at` in microseconds since 1970."""
        row = {name: getattr(self, name) for name in ROW_COLUMNS}
        return row | {"created_at": micros(self.created_at)}


ROW_COLUMNS: Final = tuple(field.name for field in fields(ChainRow))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place in the chain, signed. `trimmed_at`: the rows up to here were removed by retention.

    `previous` is the position of the checkpoint kept before it, 0 for none: none can be left out.
    """

    tenant_id: int
    position: int
    chain_hash: bytes
    previous: int
    created_at: datetime
    trimmed_at: datetime | None = None

    def signed_text(self) -> bytes:
        """Return what the signature is of."""
        trimmed_us = None if self.trimmed_at is None else micros(self.trimmed_at)
        return canonical(
            {
                "tenant_id": self.tenant_id,
                "position": self.position,
                "chain_hash": self.chain_hash.hex(),
                "previous": self.previous,
                "created_at": micros(self.created_at),
                "trimmed_at": trimmed_us,
            }
        )

    def stays_before(self, position: int, at: datetime) -> bool:
        """Whether it is kept when the next checkpoint is made at `position`, at a moment."""
        return (
            self.trimmed_at is not None
            or self.position // ROWS_APART_MAX != position // ROWS_APART_MAX
            or micros(self.created_at) // _HOUR_US != micros(at) // _HOUR_US
        )


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return JSON with sorted keys and no white space, in UTF-8."""
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS)  # the driver's own UUIDs


def link(previous: bytes, row: ChainRow) -> bytes:
    """Return the row's hash: SHA-256 of the hash before it and the row as canonical JSON."""
    return hashlib.sha256(previous + canonical(row.members())).digest()


class Signer:
    """Signs checkpoints with the installation's key."""

    def __init__(self, secrets: DerivedSecrets) -> None:
        seed = base64.urlsafe_b64decode(secrets.derive("audit-signing") + "=")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public_key(self) -> str:
        """Return the key that verifies, in base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, checkpoint: Checkpoint) -> bytes:
        """Return the signature, 64 bytes."""
        return self._key.sign(checkpoint.signed_text())


class SignatureCheck:
    """Tells whether a checkpoint was signed with the key behind `public_key`.

    Raises ValueError for what is no Ed25519 key in base64.
    """

    def __init__(self, public_key: str) -> None:
        raw = base64.b64decode(public_key, validate=True)
        self._key = Ed25519PublicKey.from_public_bytes(raw)

    def holds(self, checkpoint: Checkpoint, signature: bytes) -> bool:
        """Whether the signature is of this checkpoint."""
        try:
            self._key.verify(signature, checkpoint.signed_text())
        except InvalidSignature:
            return False
        return True
