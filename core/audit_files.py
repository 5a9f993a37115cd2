"""A part of an audit chain as a file of JSON lines, which an auditor verifies without us."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

import orjson

from core.audit_chain import ROW_COLUMNS, ChainRow, Checkpoint, SignatureCheck, canonical
from core.audit_verification import ChainCheck
from core.clock import moment_of
from core.errors import InvalidInput

_UUIDS: Final = ("user_id", "api_key_id", "session_id", "agent_uuid")


def header_line(tenant_id: int, start: int, start_hash: bytes, public_key: str) -> bytes:
    """Return the first line: where the part begins. Its key is a hint, never a proof."""
    return canonical(
        {
            "kind": "chain",
            "tenant_id": tenant_id,
            "start": start,
            "start_hash": start_hash.hex(),
            "public_key": public_key,
        }
    )


def item_line(item: ChainRow | Checkpoint, proof: bytes) -> bytes:
    """Return the line of a row and its hash, or of a checkpoint and its signature."""
    if isinstance(item, ChainRow):
        return canonical({"kind": "row", "chain_hash": proof.hex(), **item.members()})
    signature = base64.b64encode(proof).decode()
    members = orjson.loads(item.signed_text())
    return canonical({"kind": "checkpoint", "signature": signature, **members})


def check_file(lines: Iterable[bytes], public_key: str) -> ChainCheck:
    """Verify the lines of a file; raises InvalidInput for what is no such file or key."""
    try:
        check = ChainCheck(SignatureCheck(public_key))
    except ValueError:
        raise InvalidInput("public-key", "is no Ed25519 key in base64") from None
    is_begun = False
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            members = orjson.loads(line)
            kind = members["kind"]
            if kind == "chain":
                check.begin(members["start"], bytes.fromhex(members["start_hash"]))
                is_begun = True
            elif kind == "row":
                check.row(_row(members), bytes.fromhex(members["chain_hash"]))
            else:
                check.checkpoint(_checkpoint(members), base64.b64decode(members["signature"]))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise InvalidInput("file", f"line {number} cannot be read: {error!r}") from None
    if not is_begun:
        raise InvalidInput("file", "does not begin with the line of a chain")
    check.end()
    return check


def _row(members: dict[str, Any]) -> ChainRow:
    values = {name: members[name] for name in ROW_COLUMNS}
    for name in _UUIDS:
        values[name] = None if values[name] is None else UUID(values[name])
    values["created_at"] = moment_of(values["created_at"])
    return ChainRow(**values)


def _checkpoint(members: dict[str, Any]) -> Checkpoint:
    trimmed_us = members["trimmed_at"]
    return Checkpoint(
        tenant_id=members["tenant_id"],
        position=members["position"],
        chain_hash=bytes.fromhex(members["chain_hash"]),
        previous=members["previous"],
        created_at=moment_of(members["created_at"]),
        trimmed_at=None if trimmed_us is None else moment_of(trimmed_us),
    )
