"""What an agent makes of an update command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from core.agent_updates import UpdateCommand, epoch_ms
from fleetgraph.simulator.updates import Verdict, judge

NOW = datetime(2026, 3, 1, 10, 5, 24, tzinfo=UTC)
SECRET = "a secret that agents share"


def message(wanted: str = "1.0.600", secret: str | None = None, **more: Any) -> bytes:
    """Return a command as the cloud makes it, with `more` put in after it was signed."""
    command = UpdateCommand(wanted, None, False, NOW, NOW + timedelta(hours=1))
    return orjson.dumps(command.document(secret) | more)


def asked(payload: bytes, secret: str | None = None, *, hours: float = 0.0) -> Verdict:
    now = epoch_ms(NOW + timedelta(hours=hours))
    return judge(payload, now, version="1.0.547", secret=secret)


def told(verdict: Verdict) -> list[tuple[str, str | None]]:
    return [(one["type"], one.get("reason")) for one in verdict.statuses]


@pytest.mark.parametrize("secret", [None, SECRET], ids=["unsigned", "signed"])
def test_a_newer_version_is_taken(secret: str | None) -> None:
    verdict = asked(message(secret=secret), secret)
    assert verdict.command is not None
    assert verdict.command.version == "1.0.600"
    assert told(verdict) == [("update_command_received", None)]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (message(), "missing_signature"),
        (message(secret="another secret of some length"), "invalid_signature"),
        (message(secret=SECRET, version="1.0.601"), "invalid_signature"),
        (message(secret=SECRET, expires_at=2**52), "invalid_signature"),
        (message(secret=SECRET, force=True), "invalid_signature"),
        (message(secret=SECRET, scheduled_time="2026-03-01T11:00:00Z"), "invalid_signature"),
        (message("latest", SECRET), "invalid_version_format"),
    ],
    ids=["none", "forged", "other version", "longer", "forced", "put off", "latest"],
)
def test_what_was_not_signed_so_is_refused_when_there_is_a_secret(
    payload: bytes, reason: str
) -> None:
    verdict = asked(payload, SECRET)
    assert verdict.command is None
    assert told(verdict) == [("update_rejected", reason)]


def test_a_command_that_expired_is_refused() -> None:
    verdict = asked(message(secret=SECRET), SECRET, hours=1.1)
    assert verdict.command is None
    assert told(verdict) == [("update_rejected", "command_expired")]


@pytest.mark.parametrize(
    ("version", "type_", "reason"),
    [
        ("1.0.547", "update_skipped", "same_version"),
        ("1.0.60", "update_rejected", "downgrade_not_allowed"),
        ("0.9.999", "update_rejected", "downgrade_not_allowed"),
    ],
)
def test_what_is_no_newer_version_is_not_installed(version: str, type_: str, reason: str) -> None:
    verdict = asked(message(version))
    assert verdict.command is None
    assert told(verdict) == [("update_command_received", None), (type_, reason)]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"[]",
        b'{"action": "restart", "version": "1.0.600", "issued_at": 1}',
        b'{"action": "update", "version": "1.0.600"}',
    ],
    ids=["empty", "text", "list", "another", "not issued"],
)
def test_what_is_no_command_is_not_even_answered(payload: bytes) -> None:
    assert asked(payload) == Verdict([])
