"""Updates of agents' own software: the command as agents want it, and what they answer to it."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from core.clock import micros
from core.errors import InvalidInput

LATEST: Final = "latest"
REASON_CHARS_MAX: Final = 500
_VERSION: Final = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}", re.ASCII)


class UpdateState(StrEnum):
    """How far an update is; the first four are open, the rest final."""

    PENDING = "pending"
    ACKNOWLEDGED = "acknowledged"
    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


OPEN: Final = (
    UpdateState.PENDING,
    UpdateState.ACKNOWLEDGED,
    UpdateState.SCHEDULED,
    UpdateState.IN_PROGRESS,
)

RECEIVED: Final = "update_command_received"
"""The one answer that always names the version it is about."""

_STATES: Final = {
    RECEIVED: UpdateState.ACKNOWLEDGED,
    "update_scheduled": UpdateState.SCHEDULED,
    "update_rescheduled": UpdateState.SCHEDULED,
    "update_overdue": UpdateState.SCHEDULED,
    "preflight_started": UpdateState.IN_PROGRESS,
    "preflight_passed": UpdateState.IN_PROGRESS,
    "preflight_failed": UpdateState.IN_PROGRESS,  # overridden, or rejected by the next message
    "preflight_overridden": UpdateState.IN_PROGRESS,
    "update_started": UpdateState.IN_PROGRESS,
    "update_completed": UpdateState.SUCCEEDED,
    "update_succeeded": UpdateState.SUCCEEDED,
    "update_failed": UpdateState.FAILED,
    "update_failed_verified": UpdateState.FAILED,
    "update_rejected": UpdateState.REJECTED,
    "update_skipped": UpdateState.SKIPPED,
}


@dataclass(frozen=True, slots=True)
class UpdateCommand:
    """What an agent is told.

    Attributes:
        version: x.y.z, or `latest`.
        scheduled_at: when to begin; None is at once.
        is_forced: update although checks beforehand fail.
        issued_at: since when the command holds.
        expires_at: until when an agent may begin.
    """

    version: str
    scheduled_at: datetime | None
    is_forced: bool
    issued_at: datetime
    expires_at: datetime

    def document(self, secret: str | None) -> dict[str, Any]:
        """Return the message on `agent/update`; signed when there is a secret."""
        body: dict[str, Any] = {"action": "update", "version": self.version}
        if self.scheduled_at is not None:
            body["scheduled_time"] = _iso(self.scheduled_at)
        body |= {
            "force": self.is_forced,
            "issued_at": epoch_ms(self.issued_at),
            "expires_at": epoch_ms(self.expires_at),
            "timestamp": _iso(self.issued_at),
        }
        return body if secret is None else body | {"signature": signature_of(body, secret)}

    def declaration(self, secret: str | None) -> dict[str, Any]:
        """Return the same as members of `config.agent` of a target state."""
        body = self.document(secret)
        names = {
            "version": "version",
            "update_scheduled_at": "scheduled_time",
            "update_force": "force",
            "update_issued_at": "issued_at",
            "update_expires_at": "expires_at",
            "update_signature": "signature",
        }
        return {name: body[member] for name, member in names.items() if member in body}


DECLARED: Final = frozenset(
    {"version", "update_scheduled_at", "update_force", "update_issued_at"}
    | {"update_expires_at", "update_signature"}
)
"""Members of `config.agent` that declare an update."""


def signature_of(command: dict[str, Any], secret: str) -> str:
    """Return the signature of a command: HMAC-SHA256 over its six values, in lower-case hex.

    >>> command = {"action": "update", "version": "1.0.600", "issued_at": 1, "force": False}
    >>> signature_of(command, "a secret")[:8]
    'a5ee870e'
    """
    names = ("action", "version", "issued_at", "expires_at", "scheduled_time", "force")
    text = "|".join(_spelled(command.get(name)) for name in names)
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def check_version(text: str) -> str:
    """Return a version that can be asked for; raises InvalidInput."""
    version = text.strip()
    if version != LATEST and not _VERSION.fullmatch(version):
        raise InvalidInput("version", f"must look like 1.0.600, or be `{LATEST}`")
    return version


@dataclass(frozen=True, slots=True)
class UpdateStatus:
    """One message of an agent about an update; None wherever it said nothing that can be read.

    Attributes:
        type: what happened.
        state: what that means for the update; None when it moves nothing.
        version: which version it is about.
        reason: why, where something did not happen.
        at_ms: when, by the agent's clock.
    """

    type: str
    state: UpdateState | None
    version: str | None
    reason: str | None
    at_ms: int | None


def read_status(content: object) -> UpdateStatus | None:
    """Read a message on `agent/status`; None for what is not about an update."""
    if not isinstance(content, dict):
        return None
    type_ = content.get("type")
    if not isinstance(type_, str) or not type_.startswith(("update_", "preflight_")):
        return None
    reason = _text(content, "reason") or _text(content, "error")
    at = content.get("timestamp")
    return UpdateStatus(
        type=type_[:100],
        state=_state_of(type_, reason),
        version=_text(content, "version") or _text(content, "target_version"),
        reason=reason,
        at_ms=round(at) if isinstance(at, int | float) and abs(at) < 2**53 else None,
    )


def _state_of(type_: str, reason: str | None) -> UpdateState | None:
    if type_ == "update_rejected" and reason == "update_in_progress":
        return None  # the command was delivered again, as retained messages are
    if type_ == "update_skipped" and reason == "same_version":
        return UpdateState.SUCCEEDED
    return _STATES.get(type_)


def moves(before: UpdateState, after: UpdateState | None) -> bool:
    """Whether an update goes on to another state: never backwards, and from a final one nowhere."""
    if after is None or before not in OPEN:
        return False
    return after not in OPEN or OPEN.index(after) > OPEN.index(before)


def epoch_ms(moment: datetime) -> int:
    """Return whole milliseconds since 1970-01-01 UTC."""
    return micros(moment) // 1000


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _spelled(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(content: dict[str, Any], name: str) -> str | None:
    value = content.get(name)
    if not isinstance(value, str) or not value.strip():
        return None
    return value.strip()[:REASON_CHARS_MAX]
