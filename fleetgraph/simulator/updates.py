"""What an agent makes of a self-update command, before it does anything."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from core.agent_updates import signature_of

_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Command:
    """An update that the agent carries out. `at_ms` is when, None for now."""

    version: str
    issued_at: object
    at_ms: int | None
    expires_at: float | None

    def has_expired(self, now_ms: int) -> bool:
        """Tell whether it is too late to begin."""
        return self.expires_at is not None and self.expires_at < now_ms


@dataclass(frozen=True, slots=True)
class Verdict:
    """Status messages without `msgId`, and the command if it is to be carried out."""

    statuses: list[dict[str, Any]]
    command: Command | None = None


def judge(payload: bytes, now_ms: int, *, version: str, secret: str | None) -> Verdict:
    """Return what an agent of this version answers; nothing at all for what is no command."""
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return Verdict([])
    if not isinstance(body, dict) or body.get("action") != "update" or "issued_at" not in body:
        return Verdict([])
    refusal = _refusal(body, now_ms, secret)
    if refusal is not None:
        told = {"reason": refusal, "target_version": body.get("version")}
        return Verdict([status("update_rejected", now_ms, **told)])
    wanted: str = body["version"]
    received = status("update_command_received", now_ms, version=wanted)
    versions = {"current_version": version, "target_version": wanted}
    if wanted == version:
        return Verdict(
            [received, status("update_skipped", now_ms, reason="same_version", **versions)]
        )
    if _parts(wanted) < _parts(version):
        reason = "downgrade_not_allowed"
        return Verdict([received, status("update_rejected", now_ms, reason=reason, **versions)])
    command = Command(wanted, body["issued_at"], _moment(body), body.get("expires_at"))
    return Verdict([received], command)


def status(type_: str, now_ms: int, **more: object) -> dict[str, Any]:
    """Return a status message."""
    return {"type": type_, **more, "timestamp": now_ms}


def _refusal(body: dict[str, Any], now_ms: int, secret: str | None) -> str | None:
    if secret is not None:
        signature = body.get("signature")
        if not isinstance(signature, str):
            return "missing_signature"
        if not hmac.compare_digest(signature.encode(), signature_of(body, secret).encode()):
            return "invalid_signature"
    version = body.get("version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        return "invalid_version_format"
    expires_at = body.get("expires_at")
    if isinstance(expires_at, int | float) and expires_at < now_ms:
        return "command_expired"
    return None


def _moment(body: dict[str, Any]) -> int | None:
    try:
        return round(datetime.fromisoformat(body["scheduled_time"]).timestamp() * 1000)
    except (KeyError, TypeError, ValueError):
        return None


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
