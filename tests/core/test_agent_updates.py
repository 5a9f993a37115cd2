"""The update command as agents read it, and what their answers mean."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.agent_updates import OPEN, UpdateCommand, UpdateState, check_version, moves, read_status
from core.errors import InvalidInput

NOW = datetime(2026, 3, 1, 10, 5, 24, tzinfo=UTC)
SECRET = "a secret that agents share"


def command(scheduled_at: datetime | None = None, *, is_forced: bool = False) -> UpdateCommand:
    return UpdateCommand("1.0.600", scheduled_at, is_forced, NOW, NOW + timedelta(hours=1))


def test_a_command_says_what_agents_read_and_no_more() -> None:
    assert command().document(None) == {
        "action": "update",
        "version": "1.0.600",
        "force": False,
        "issued_at": 1772359524000,
        "expires_at": 1772363124000,
        "timestamp": "2026-03-01T10:05:24.000Z",
    }


@pytest.mark.parametrize(
    ("scheduled_at", "is_forced", "text"),
    [
        (None, False, "update|1.0.600|1772359524000|1772363124000||false"),
        (
            datetime(2026, 3, 2, 3, 0, tzinfo=timezone(timedelta(hours=1))),
            True,
            "update|1.0.600|1772359524000|1772363124000|2026-03-02T02:00:00.000Z|true",
        ),
    ],
    ids=["at once", "later"],
)
def test_a_signature_covers_the_six_values_as_they_stand_in_the_message(
    scheduled_at: datetime | None, is_forced: bool, text: str
) -> None:
    body = command(scheduled_at, is_forced=is_forced).document(SECRET)
    assert body["signature"] == hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert body.get("scheduled_time", "") in text


def test_a_declared_update_carries_the_same_signature() -> None:
    body = command(NOW + timedelta(days=1)).document(SECRET)
    assert command(NOW + timedelta(days=1)).declaration(SECRET) == {
        "version": "1.0.600",
        "update_scheduled_at": "2026-03-02T10:05:24.000Z",
        "update_force": False,
        "update_issued_at": 1772359524000,
        "update_expires_at": 1772363124000,
        "update_signature": body["signature"],
    }


@pytest.mark.parametrize("text", ["1.0", "v1.0.0", "1.0.0-rc1", "1.0.0; reboot", "", "newest"])
def test_refuses_what_is_no_version(text: str) -> None:
    with pytest.raises(InvalidInput, match="version"):
        check_version(text)


@pytest.mark.parametrize(
    ("message", "state"),
    [
        ({"type": "update_command_received", "version": "1.0.600"}, UpdateState.ACKNOWLEDGED),
        ({"type": "update_scheduled"}, UpdateState.SCHEDULED),
        ({"type": "preflight_failed"}, UpdateState.IN_PROGRESS),
        ({"type": "update_completed"}, UpdateState.SUCCEEDED),
        ({"type": "update_skipped", "reason": "same_version"}, UpdateState.SUCCEEDED),
        ({"type": "update_skipped", "reason": "development_mode_no_script"}, UpdateState.SKIPPED),
        ({"type": "update_rejected", "reason": "invalid_signature"}, UpdateState.REJECTED),
        ({"type": "update_rejected", "reason": "update_in_progress"}, None),
        ({"type": "update_failed_verified"}, UpdateState.FAILED),
        ({"type": "update_of_another_kind"}, None),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else str(value),
)
def test_reads_what_a_message_means(message: dict[str, object], state: UpdateState | None) -> None:
    status = read_status(message | {"timestamp": 1772359524000})
    assert status is not None
    assert status.state is state
    assert status.at_ms == 1772359524000


@pytest.mark.parametrize(
    "content",
    ["online", None, [], {}, {"type": 7}, {"type": "shell_started"}],
    ids=["text", "nothing", "list", "empty", "number", "another"],
)
def test_what_is_not_about_an_update_is_none(content: object) -> None:
    assert read_status(content) is None


@pytest.mark.parametrize("at", ["soon", float("nan"), 1e300, None], ids=str)
def test_a_moment_that_is_none_is_left_out(at: object) -> None:
    status = read_status({"type": "update_started", "timestamp": at})
    assert status is not None
    assert status.at_ms is None


def test_an_update_never_goes_back_and_ends_once() -> None:
    for before in UpdateState:
        for after in UpdateState:
            may = before in OPEN and (after not in OPEN or OPEN.index(after) > OPEN.index(before))
            assert moves(before, after) is may
    assert not moves(UpdateState.PENDING, None)
