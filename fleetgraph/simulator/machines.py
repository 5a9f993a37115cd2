"""The kinds of machine the plant has: their metrics, and how each state moves them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MachineState(StrEnum):
    """What a machine does."""

    RUNNING = "running"
    IDLE = "idle"
    FAULT = "fault"


class MetricKind(StrEnum):
    """How a metric gets its value."""

    ANALOG = "analog"  # a level per state, the day's rhythm, noise
    COUNTER = "counter"  # pieces since midnight UTC, counted while running
    RUNNING = "running"  # boolean
    STATE = "state"  # text


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity of a machine.

    Attributes:
        name: its name on the wire.
        unit: empty for text and booleans.
        kind: how it gets its value.
        levels: ANALOG: level while running, idle, in fault.
        daily: ANALOG: amplitude of the day's rhythm.
        noise: ANALOG: standard deviation.
        settle_seconds: ANALOG: time constant of the way to a new state's level.
        per_second: COUNTER: pieces per second of running.
    """

    name: str
    unit: str = ""
    kind: MetricKind = MetricKind.ANALOG
    levels: tuple[float, float, float] = (0.0, 0.0, 0.0)
    daily: float = 0.0
    noise: float = 0.0
    settle_seconds: float = 10.0
    per_second: float = 0.0

    @property
    def span(self) -> float:
        """Return how far the metric moves in its ordinary life; never zero for ANALOG."""
        return max(max(self.levels) - min(self.levels), 10 * self.noise, 1.0)


@dataclass(frozen=True, slots=True)
class MachineKind:
    """A kind of machine, the protocol it speaks, and its metrics."""

    name: str
    protocol: str
    metrics: tuple[Metric, ...]


_STATE = Metric("state", kind=MetricKind.STATE)
_RUNNING = Metric("running", kind=MetricKind.RUNNING)


def _analog(
    name: str,
    unit: str,
    levels: tuple[float, float, float],
    noise: float,
    *,
    daily: float = 0.0,
    settle: float = 10.0,
) -> Metric:
    return Metric(name, unit, levels=levels, noise=noise, daily=daily, settle_seconds=settle)


PRESS = MachineKind(
    "press",
    "modbus",
    (
        _analog("temperature", "°C", (62.0, 38.0, 71.0), 0.4, daily=3.0, settle=90.0),
        _analog("pressure", "bar", (180.0, 12.0, 40.0), 1.8, settle=4.0),
        _analog("vibration", "mm/s", (2.6, 0.2, 7.5), 0.15, settle=2.0),
        _analog("speed", "RPM", (1480.0, 0.0, 120.0), 6.0, settle=5.0),
        Metric("pieces", "count", kind=MetricKind.COUNTER, per_second=0.4),
        _RUNNING,
        _STATE,
    ),
)
PUMP = MachineKind(
    "pump",
    "opcua",
    (
        _analog("flow", "m³/h", (42.0, 0.0, 9.0), 0.5, daily=2.5, settle=6.0),
        _analog("pressure", "bar", (6.2, 1.1, 2.4), 0.06, settle=3.0),
        _analog("current", "A", (18.5, 0.4, 26.0), 0.25, settle=1.5),
        _analog("vibration", "mm/s", (1.8, 0.1, 6.2), 0.1, settle=2.0),
        _RUNNING,
        _STATE,
    ),
)
OVEN = MachineKind(
    "oven",
    "modbus",
    (
        _analog("temperature", "°C", (215.0, 140.0, 168.0), 0.9, daily=4.0, settle=180.0),
        _analog("humidity", "%", (18.0, 27.0, 24.0), 0.4, daily=3.0, settle=120.0),
        _analog("current", "A", (64.0, 8.0, 3.0), 0.8, settle=2.0),
        Metric("batches", "count", kind=MetricKind.COUNTER, per_second=0.01),
        _STATE,
    ),
)
COMPRESSOR = MachineKind(
    "compressor",
    "mqtt",
    (
        _analog("pressure", "bar", (7.8, 6.1, 3.2), 0.05, daily=0.3, settle=20.0),
        _analog("temperature", "°C", (84.0, 46.0, 103.0), 0.5, daily=3.5, settle=120.0),
        _analog("vibration", "mm/s", (3.1, 0.2, 8.8), 0.2, settle=2.0),
        _analog("current", "A", (92.0, 21.0, 118.0), 1.1, settle=2.0),
        Metric("starts", "count", kind=MetricKind.COUNTER, per_second=0.003),
        _RUNNING,
    ),
)

KINDS = (PRESS, PUMP, OVEN, COMPRESSOR)
