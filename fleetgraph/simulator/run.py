"""The simulated plant as a program: all its agents in one process, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from core.clock import Clock, SystemClock
from core.errors import InvalidInput
from core.ids import Ids, RandomIds
from fleetgraph.simulator import control
from fleetgraph.simulator.agent import SimulatedAgent
from fleetgraph.simulator.batches import Form, Format, Layout
from fleetgraph.simulator.cloud import CallFailed, open_client
from fleetgraph.simulator.encodings import parse_encodings
from fleetgraph.simulator.faults import FaultKind, FaultRequest
from fleetgraph.simulator.identity import IdentityFile
from fleetgraph.simulator.plant import Plant
from fleetgraph.simulator.world import Pace, World

log = logging.getLogger(__name__)

_START_SECONDS_MAX = 2.0
_AGAIN_SECONDS = 5.0


class SimulationFailed(Exception):
    """Not one agent could start; says why."""


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What to simulate.

    Attributes:
        url: the cloud's address, with or without `/api`.
        provisioning_key: lets new agents register.
        agents: how many.
        rate_hz: readings per metric and second.
        seed: same seed, same plant.
        state_file: keeps the agents' identities, so that they return as themselves.
        fault_rate_per_hour: random faults per machine and hour.
        faults: faults to start with.
        encodings: `mixed`, or a list such as `json,zlib+msgpack`, dealt out to the agents in turn.
        format: payload format of all agents.
        rich: readings in full form, about 1 KB each.
        control_file: lines appended to it are faults on demand.
        interactive: so are lines on standard input.
        seconds: end by itself after so long.
        machines_per_agent: how many machines each agent reads.
        pace: how often agents do things.
        update_secret: without it agents obey unsigned update commands.
    """

    url: str
    provisioning_key: str = field(repr=False)
    agents: int = 20
    rate_hz: float = 1.0
    seed: int = 1
    state_file: Path | None = None
    fault_rate_per_hour: float = 0.0
    faults: list[FaultRequest] = field(default_factory=list)
    encodings: str = "mixed"
    format: Format = Format.CUSTOM
    rich: bool = False
    control_file: Path | None = None
    interactive: bool = False
    seconds: float | None = None
    machines_per_agent: int = 1
    pace: Pace = field(default_factory=Pace)
    update_secret: str | None = field(default=None, repr=False)


async def simulate(
    options: SimulatorOptions,
    stop: asyncio.Event,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
) -> None:
    """Run the plant until `stop` is set or `options.seconds` are over.

    Raises InvalidInput for options that make no sense, SimulationFailed when no agent could start.
    """
    _check(options)
    logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # the agents say it themselves
    logging.getLogger("httpx").setLevel(logging.WARNING)
    async with open_client() as http:
        simulation = _Simulation(options, http, clock or SystemClock(), ids or RandomIds())
        work = asyncio.create_task(simulation.run())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait(
                {work, stopped}, timeout=options.seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopped.cancel()
            failed = work.done()
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({work})
        if failed:
            work.result()


def _check(options: SimulatorOptions) -> None:
    if not 1 <= options.agents <= 10_000:
        raise InvalidInput("agents", "must be from 1 to 10000")
    if not 0 < options.rate_hz <= 100:
        raise InvalidInput("rate_hz", "must be above 0 and at most 100")
    if options.machines_per_agent < 1:
        raise InvalidInput("machines_per_agent", "must be at least 1")


class _Simulation:
    """The plant, its agents, and what disturbs them."""

    def __init__(
        self, options: SimulatorOptions, http: httpx.AsyncClient, clock: Clock, ids: Ids
    ) -> None:
        self.options = options
        self.clock = clock
        self.plant = Plant(
            seed=options.seed,
            agents=options.agents,
            machines_per_agent=options.machines_per_agent,
            fault_rate_per_hour=options.fault_rate_per_hour,
        )
        file = IdentityFile(options.state_file)
        world = World(
            http=http,
            url=options.url,
            provisioning_key=options.provisioning_key,
            plant=self.plant,
            clock=clock,
            ids=ids,
            rate_hz=options.rate_hz,
            pace=options.pace,
            update_secret=options.update_secret,
            on_identity_changed=file.save,
        )
        encodings, forms = parse_encodings(options.encodings), list(Form)
        self.agents = [
            SimulatedAgent(
                world,
                identity,
                encoding=encodings[number % len(encodings)],
                layout=Layout(options.format, forms[number % len(forms)], options.rich),
            )
            for number, identity in enumerate(file.get_or_make(self.plant.agents, ids))
        ]
        self._reasons: list[str] = []
        self._rotating: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Run all agents; ends only by cancellation, or by SimulationFailed."""
        for request in self.options.faults:
            self._inject(request)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._start(tasks)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    def _start(self, tasks: asyncio.TaskGroup) -> None:
        tasks.create_task(self._disturb())
        if self.options.control_file:
            tasks.create_task(control.follow(self.options.control_file, self._inject))
        if self.options.interactive:
            tasks.create_task(control.listen(self._inject))
        gap = min(0.05, _START_SECONDS_MAX / len(self.agents))
        for number, agent in enumerate(self.agents):
            tasks.create_task(self._live(agent, number * gap))

    async def _live(self, agent: SimulatedAgent, delay: float) -> None:
        """Run one agent; start it again after the unforeseen, but not when it is refused."""
        await asyncio.sleep(delay)
        while True:
            try:
                await agent.run()
            except CallFailed as error:
                log.error("%s gives up, it cannot register: %s", agent.name, error)
                self._reasons.append(str(error))
                if len(self._reasons) == len(self.agents):
                    raise SimulationFailed(f"no agent could register: {error}") from None
                return
            except Exception:
                log.exception("%s failed, starts again", agent.name)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _disturb(self) -> None:
        while True:
            for fault in self.plant.advance(self.clock.now().timestamp()):
                log.info("fault by chance: %s on %s", fault.kind, fault.machine)
            await asyncio.sleep(1.0)

    def _inject(self, request: FaultRequest) -> None:
        if request.kind is FaultKind.ROTATE:
            self._rotate(request)
            return
        fault = self.plant.inject(request, self.clock.now().timestamp())
        place = f"{fault.agent} {fault.machine} {fault.metric or ''}".rstrip()
        log.info("fault on demand: %s on %s for %g s", fault.kind, place, fault.seconds)

    def _rotate(self, request: FaultRequest) -> None:
        """Let an agent, or all of them, get another device key."""
        for agent in self.agents:
            if request.agent in {None, agent.name}:
                task = asyncio.create_task(agent.rotate_key())
                self._rotating.add(task)
                task.add_done_callback(self._rotating.discard)
