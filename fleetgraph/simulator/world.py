"""What the agents of one process share: the plant, the way to the cloud, time and chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from core.clock import Clock
from core.ids import Ids
from fleetgraph.simulator.cloud import RETRY_WAITS_SECONDS
from fleetgraph.simulator.plant import Plant


@dataclass(frozen=True, slots=True)
class Pace:
    """How often an agent does things, in seconds. The target state may change the first three."""

    poll: float = 10.0
    report: float = 20.0
    metrics: float = 60.0
    logs: float = 30.0
    batch: float = 1.0
    poll_backoff: float = 15.0
    connect_backoff: float = 1.0
    log_resend: float = 2.5
    log_retry: float = 5.0
    replays_per_second: float = 20.0
    hint_spread: float = 2.0
    install: float = 3.0
    registration_waits: tuple[float, ...] = RETRY_WAITS_SECONDS


@dataclass(frozen=True, slots=True)
class World:
    """What an agent shares with the others of its process."""

    http: httpx.AsyncClient
    url: str
    provisioning_key: str
    plant: Plant
    clock: Clock
    ids: Ids
    rate_hz: float = 1.0
    pace: Pace = Pace()
    update_secret: str | None = field(default=None, repr=False)
    on_identity_changed: Callable[[], None] = lambda: None
