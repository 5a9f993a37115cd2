"""Where an agent is not as it should be: its target state against what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from core.app_drift import app_differences
from core.differences import DIFFERENCES_MAX, Difference, DifferenceKind
from core.endpoint_drift import endpoint_differences, keeps_endpoints

SETTLING: Final = timedelta(minutes=2)
"""How long an agent may take to poll, apply and report a change before it counts as drifted."""


class DriftStatus(StrEnum):
    """Whether an agent is as it should be."""

    IN_SYNC = "in_sync"
    PENDING = "pending"
    DRIFTED = "drifted"
    UNKNOWN = "unknown"


class DriftReason(StrEnum):
    """Why it is not known whether an agent is as it should be."""

    NEVER_REPORTED = "never_reported"
    NO_TARGET = "no_target"
    NOT_POLLED = "not_polled"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A live target state."""

    version: int
    apps: dict[str, Any]
    config: dict[str, Any]
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Reported:
    """What an agent reported.

    `diverged_at` is since when it is known to differ, as of the target's `compared_version`.
    """

    version: int | None
    apps: dict[str, Any]
    config: dict[str, Any] | None
    agent_version: str | None
    reported_at: datetime
    diverged_at: datetime | None = None
    compared_version: int | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """How far an agent is from its target state.

    Attributes:
        since: when it began; None while it is in sync or nothing is known.
        reason: why nothing is known.
        differences: at most DIFFERENCES_MAX.
        keeps_endpoints: the target names no endpoints, so the agent keeps its own.
    """

    status: DriftStatus
    differences: list[Difference]
    since: datetime | None = None
    reason: DriftReason | None = None
    wanted_version: int | None = None
    reported_version: int | None = None
    keeps_endpoints: bool = False


def differences_of(wanted: Wanted, reported: Reported) -> list[Difference]:
    """Return where the report differs from the target, with paths; only what both can say.

    The version is none of them: an agent learns a new number only with other content.
    """
    found = app_differences(wanted.apps, reported.apps)
    found += endpoint_differences(wanted.config, reported.config)
    software = wanted.config.get("agent")
    version = software.get("version") if isinstance(software, dict) else None
    if _names_another(version, reported.agent_version):
        found.append(
            Difference(
                DifferenceKind.AGENT_VERSION,
                "config.agent.version",
                version,
                reported.agent_version,
            )
        )
    return found[:DIFFERENCES_MAX]


def drift_of(wanted: Wanted | None, reported: Reported | None) -> Drift:
    """Return how far an agent is from its target state."""
    if wanted is None or reported is None:
        return Drift(
            DriftStatus.UNKNOWN,
            [],
            reason=DriftReason.NO_TARGET if wanted is None else DriftReason.NEVER_REPORTED,
            wanted_version=wanted.version if wanted else None,
            reported_version=reported.version if reported else None,
        )
    found = differences_of(wanted, reported)
    status, since, reason = _status(wanted, reported, bool(found))
    return Drift(
        status,
        found,
        since=since,
        reason=reason,
        wanted_version=wanted.version,
        reported_version=reported.version,
        keeps_endpoints=keeps_endpoints(wanted.config),
    )


def diverged_since(wanted: Wanted, reported: Reported) -> datetime | None:
    """Return since when the agent differs, as its newest report shows; None if it does not.

    It is behind since the target was changed, or off by itself since it reported so.
    """
    if not differences_of(wanted, reported):
        return None
    was_changed = reported.compared_version != wanted.version
    began = wanted.updated_at if was_changed else reported.reported_at
    return reported.diverged_at or began


def _status(
    wanted: Wanted, reported: Reported, differs: bool
) -> tuple[DriftStatus, datetime | None, DriftReason | None]:
    if not differs:
        return DriftStatus.IN_SYNC, None, None
    if reported.reported_at < wanted.updated_at + SETTLING:
        return DriftStatus.PENDING, wanted.updated_at, None
    if (reported.version or 1) <= 1:
        # An agent says 1 until a poll has told it the number. Polling may be switched off on it,
        # and nothing here can switch it on.
        return DriftStatus.UNKNOWN, None, DriftReason.NOT_POLLED
    return DriftStatus.DRIFTED, reported.diverged_at or wanted.updated_at, None


def _names_another(wanted: object, running: str | None) -> bool:
    if not isinstance(wanted, str) or running is None or wanted.lower() in {"", "latest"}:
        return False
    return wanted.removeprefix("v") != running.removeprefix("v")
