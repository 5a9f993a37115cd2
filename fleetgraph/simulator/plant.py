"""The plant: machines whose every value is a function of seed and time, and their faults."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from core.errors import InvalidInput
from fleetgraph.simulator.faults import Fault, FaultKind, FaultRequest
from fleetgraph.simulator.machines import KINDS, MachineKind, MachineState, Metric, MetricKind
from fleetgraph.simulator.noise import gauss, key_of, uniform

_DAY = 86_400.0
_WINDOW_SECONDS = 10  # random faults are drawn once per window
_LEVEL = {MachineState.RUNNING: 0, MachineState.IDLE: 1, MachineState.FAULT: 2}
_DWELL = {  # shortest and longest stay, seconds
    MachineState.RUNNING: (120.0, 900.0),
    MachineState.IDLE: (20.0, 120.0),
    MachineState.FAULT: (15.0, 60.0),
}
_RANDOM_KINDS = (
    FaultKind.SPIKE,
    FaultKind.SPIKE,
    FaultKind.DRIFT,
    FaultKind.STUCK,
    FaultKind.DROPOUT,
    FaultKind.OFFLINE,
)

Value = float | int | bool | str | None


class Sample(NamedTuple):
    """One value of one metric. `quality_code` says why a BAD one has no value."""

    metric: str
    unit: str
    value: Value
    quality: str = "GOOD"
    quality_code: str | None = None


class Stay(NamedTuple):
    """A machine's time in one state, from `start` (seconds of the day)."""

    start: float
    state: MachineState
    running_before: float  # seconds of running since midnight


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of the plant; `key` seeds everything about it."""

    name: str
    agent: str
    kind: MachineKind
    key: int


class Plant:
    """All machines, spread over agents, and the faults at work. Moments are epoch seconds."""

    def __init__(
        self,
        *,
        seed: int = 1,
        agents: int = 20,
        machines_per_agent: int = 1,
        fault_rate_per_hour: float = 0.0,
    ) -> None:
        """Lay the plant out. `fault_rate_per_hour` counts random faults per machine."""
        self.fault_rate_per_hour = fault_rate_per_hour
        self.agents = [f"gateway-{number + 1:02d}" for number in range(agents)]
        self.machines = _lay_out(seed, self.agents, machines_per_agent)
        self._by_name = {machine.name: machine for machine in self.machines}
        self._choices_key = key_of(seed, "choices")
        self._faults: list[Fault] = []
        self._injected = 0
        self._window: int | None = None

    def machines_of(self, agent: str) -> list[Machine]:
        """Return the machines an agent reads."""
        return [machine for machine in self.machines if machine.agent == agent]

    def sample(self, machine: Machine, at: float) -> list[Sample]:
        """Return the value of each metric of a machine."""
        faults = [f for f in self._faults if f.machine == machine.name and f.holds(at)]
        return [_sample(machine, metric, at, faults) for metric in machine.kind.metrics]

    def state(self, machine: Machine, at: float) -> MachineState:
        """Return what a machine does."""
        return _stay(machine, at)[0].state

    def inject(self, request: FaultRequest, at: float) -> Fault:
        """Start a fault; raises InvalidInput for an unknown agent, machine or metric."""
        self._injected += 1
        machine = self._choose_machine(request)
        metric = self._choose_metric(request, machine)
        agent = machine.agent
        fault = Fault(request.kind, agent, machine.name, metric, at, request.seconds)
        self._faults.append(fault)
        return fault

    def advance(self, at: float) -> list[Fault]:
        """Forget faults that are over and start the random ones that are due; return those."""
        self._faults = [fault for fault in self._faults if fault.end > at]
        window = int(at // _WINDOW_SECONDS)
        if self._window is None:
            self._window = window
        first = max(self._window + 1, window - 6)  # after a long sleep, the past stays past
        self._window = max(window, self._window)
        return [
            self.inject(_random_request(machine, number), at)
            for number in range(first, window + 1)
            for machine in self.machines
            if uniform(machine.key, number) < self.fault_rate_per_hour * _WINDOW_SECONDS / 3600
        ]

    def offline_until(self, agent: str, at: float) -> float:
        """Return when an agent may speak again; 0.0 when it may now."""
        return max(
            (
                fault.end
                for fault in self._faults
                if fault.kind is FaultKind.OFFLINE and fault.agent == agent and fault.holds(at)
            ),
            default=0.0,
        )

    def clock_off(self, agent: str, at: float) -> float:
        """Return by how many seconds an agent's clock is early; 0.0 when it is right."""
        return sum(
            fault.clock_off() for fault in self._faults if fault.agent == agent and fault.holds(at)
        )

    def _choose_machine(self, request: FaultRequest) -> Machine:
        if request.machine is not None:
            if request.machine not in self._by_name:
                raise InvalidInput("machine", f"there is no {request.machine!r}")
            return self._by_name[request.machine]
        choices = self.machines_of(request.agent) if request.agent else self.machines
        if not choices:
            raise InvalidInput("agent", f"there is no {request.agent!r}")
        return choices[int(uniform(self._choices_key, self._injected) * len(choices))]

    def _choose_metric(self, request: FaultRequest, machine: Machine) -> str | None:
        metrics = machine.kind.metrics
        needs_level = request.kind in {FaultKind.SPIKE, FaultKind.DRIFT}
        fitting = [m.name for m in metrics if m.kind is MetricKind.ANALOG or not needs_level]
        if request.kind in {FaultKind.OFFLINE, FaultKind.CLOCK_AHEAD, FaultKind.CLOCK_BEHIND}:
            return None
        if request.metric is not None:
            if request.metric not in fitting:
                expected = ", ".join(fitting)
                raise InvalidInput("metric", f"{machine.name} can {request.kind} in: {expected}")
            return request.metric
        if request.kind is FaultKind.DROPOUT:
            return None
        analog = [m.name for m in metrics if m.kind is MetricKind.ANALOG]
        return analog[int(uniform(self._choices_key ^ 1, self._injected) * len(analog))]


def _lay_out(seed: int, agents: list[str], machines_per_agent: int) -> list[Machine]:
    machines = []
    for number in range(len(agents) * machines_per_agent):
        kind = KINDS[number % len(KINDS)]
        name = f"{kind.name}-{number // len(KINDS) + 1:02d}"
        agent = agents[number // machines_per_agent]
        machines.append(Machine(name, agent, kind, key_of(seed, name)))
    return machines


def _random_request(machine: Machine, number: int) -> FaultRequest:
    draw = uniform(machine.key ^ 2, number)
    seconds = 5.0 + 40.0 * uniform(machine.key ^ 3, number)
    kind = _RANDOM_KINDS[int(draw * len(_RANDOM_KINDS))]
    return FaultRequest(kind, machine=machine.name, seconds=seconds)


def _sample(machine: Machine, metric: Metric, at: float, faults: list[Fault]) -> Sample:
    mine = [fault for fault in faults if fault.touches(machine.name, metric.name)]
    dropout = next((fault for fault in mine if fault.kind is FaultKind.DROPOUT), None)
    if dropout:
        code = "DEVICE_OFFLINE" if dropout.metric is None else "TIMEOUT"
        return Sample(metric.name, metric.unit, None, "BAD", code)
    stuck = next((fault for fault in mine if fault.kind is FaultKind.STUCK), None)
    value = _value(machine, metric, stuck.start if stuck else at)
    if metric.kind is MetricKind.ANALOG:
        shift = sum(fault.shift(metric.span, at) for fault in mine)
        value = round(float(value) + shift, 3) if shift else value
    return Sample(metric.name, metric.unit, value)


def _value(machine: Machine, metric: Metric, at: float) -> float | int | bool | str:
    stay, before = _stay(machine, at)
    if metric.kind is MetricKind.STATE:
        return stay.state.value
    if metric.kind is MetricKind.RUNNING:
        return stay.state is MachineState.RUNNING
    if metric.kind is MetricKind.COUNTER:
        running = at % _DAY - stay.start if stay.state is MachineState.RUNNING else 0.0
        return int((stay.running_before + running) * metric.per_second)
    goal, past = metric.levels[_LEVEL[stay.state]], metric.levels[_LEVEL[before]]
    way_left = math.exp(-(at % _DAY - stay.start) / metric.settle_seconds)
    rhythm = metric.daily * math.sin(math.tau * (at % _DAY / _DAY - 0.375))
    key = key_of(machine.key, metric.name)
    noise = metric.noise * gauss(key, round(at * 1000))
    return round(goal + (past - goal) * way_left + rhythm + noise, 3)


def _stay(machine: Machine, at: float) -> tuple[Stay, MachineState]:
    """Return the stay a moment falls into, and the state before it."""
    stays = _day(machine.key, int(at // _DAY))
    index = bisect_right(stays, at % _DAY, key=lambda stay: stay.start) - 1
    before = stays[index - 1].state if index else stays[0].state
    return stays[index], before


@lru_cache(maxsize=1024)
def _day(key: int, day: int) -> list[Stay]:
    """Return a machine's stays of one day, the first from midnight."""
    stays: list[Stay] = []
    second, running, state = 0.0, 0.0, MachineState.RUNNING
    day_key = key_of(key, day)
    while second < _DAY:
        stays.append(Stay(second, state, running))
        shortest, longest = _DWELL[state]
        dwell = shortest + (longest - shortest) * uniform(day_key, 2 * len(stays))
        running += dwell if state is MachineState.RUNNING else 0.0
        second += dwell
        state = _next_state(state, uniform(day_key, 2 * len(stays) + 1))
    return stays


def _next_state(state: MachineState, draw: float) -> MachineState:
    if state is not MachineState.RUNNING:
        return MachineState.RUNNING
    return MachineState.FAULT if draw < 0.2 else MachineState.IDLE
