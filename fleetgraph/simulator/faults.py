"""What can be made to go wrong in the plant, and what it does to a reading."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.errors import InvalidInput

DEFAULT_SECONDS = 20.0
CLOCK_OFF_SECONDS = 86_400.0


class FaultKind(StrEnum):
    """Ways to go wrong."""

    SPIKE = "spike"  # the value jumps far out of its range
    DRIFT = "drift"  # the value leaves its range slowly
    STUCK = "stuck"  # the value stops moving
    DROPOUT = "dropout"  # no value: null, quality BAD, a quality code
    OFFLINE = "offline"  # the whole agent goes silent
    CLOCK_BEHIND = "clock_behind"  # its clock is a day late
    CLOCK_AHEAD = "clock_ahead"  # its clock is a day early
    ROTATE = "rotate"  # no fault: the agent gets another device key


@dataclass(frozen=True, slots=True)
class FaultRequest:
    """A wish for a fault. What is not named, the plant chooses.

    Attributes:
        kind: what goes wrong.
        agent: name of the agent, such as `gateway-01`.
        machine: name of the machine, such as `press-01`.
        metric: name of the metric; a dropout without one takes the whole machine.
        seconds: how long it lasts.
    """

    kind: FaultKind
    agent: str | None = None
    machine: str | None = None
    metric: str | None = None
    seconds: float = DEFAULT_SECONDS


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at work from `start` for `seconds` (both in epoch seconds).

    `metric` is None when every metric of the machine is concerned.
    """

    kind: FaultKind
    agent: str
    machine: str
    metric: str | None
    start: float
    seconds: float

    @property
    def end(self) -> float:
        """Return when it is over, in epoch seconds."""
        return self.start + self.seconds

    def holds(self, at: float) -> bool:
        """Tell whether the fault is at work at a moment in epoch seconds."""
        return self.start <= at < self.end

    def touches(self, machine: str, metric: str) -> bool:
        """Tell whether a metric of a machine is concerned."""
        return self.machine == machine and self.metric in {None, metric}

    def clock_off(self) -> float:
        """Return by how many seconds the fault sets an agent's clock forward."""
        if self.kind is FaultKind.CLOCK_AHEAD:
            return CLOCK_OFF_SECONDS
        return -CLOCK_OFF_SECONDS if self.kind is FaultKind.CLOCK_BEHIND else 0.0

    def shift(self, span: float, at: float) -> float:
        """Return what the fault adds to a level whose ordinary span is `span`."""
        if self.kind is FaultKind.SPIKE:
            return 2.0 * span
        if self.kind is FaultKind.DRIFT:
            return 1.5 * span * (at - self.start) / self.seconds
        return 0.0


def parse_fault(line: str) -> FaultRequest:
    """Read a line such as `spike press-01 temperature 10` (kind, where, metric, seconds).

    Where is an agent or a machine; all but the kind may be left out. Raises InvalidInput.
    """
    words = line.split()
    kinds = ", ".join(FaultKind)
    if not words:
        raise InvalidInput("fault", f"expected one of {kinds}")
    try:
        kind = FaultKind(words[0].lower())
    except ValueError:
        raise InvalidInput("fault", f"{words[0]!r} is none of {kinds}") from None
    rest = words[1:]
    seconds = _seconds(rest.pop()) if rest and _is_number(rest[-1]) else DEFAULT_SECONDS
    if len(rest) > 2:
        raise InvalidInput("fault", "expected: KIND [MACHINE] [METRIC] [SECONDS]")
    place = rest[0] if rest else None
    metric = rest[1] if len(rest) == 2 else None
    if place and place.startswith("gateway-"):
        return FaultRequest(kind, agent=place, metric=metric, seconds=seconds)
    return FaultRequest(kind, machine=place, metric=metric, seconds=seconds)


def _is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdigit()


def _seconds(word: str) -> float:
    seconds = float(word)
    if not 0 < seconds <= 86_400:
        raise InvalidInput("fault", "seconds must be above 0 and at most 86400")
    return seconds
