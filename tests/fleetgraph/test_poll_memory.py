"""The memory of polls by itself: bounds, gaps, looks at the database, and sightings."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

import fleetgraph.poll_memory
from core.callers import Caller, Role
from core.context import Context
from core.errors import Unavailable
from core.events import ACCESS, TARGET_STATES, AccessChanged, TargetStateChanged
from core.ids import secret_hash
from fleetgraph.poll_memory import IDLE_SECONDS, LIFE_SECONDS, Poll, PollMemory, poll_workers
from models.agents import Agent
from models.device_keys import DeviceKey
from models.target_states import EMPTY_ETAG
from resolvers.device_callers import DEVICE_KEY_PURPOSE
from tests.contracts.serving import give_key
from tests.doubles import RecordingBus
from tests.factories import make_agent
from tests.fleetgraph.polling import until
from tests.resolvers.edge import system
from tests.schema.test_statements import counted
from workers.supervisor import Supervisor


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def memory_of(clock: Clock, entries_max: int = 100) -> PollMemory:
    memory = PollMemory(entries_max=entries_max, now=clock)
    for topic in (TARGET_STATES, ACCESS):
        memory.listen(topic.name)
    return memory


def poll_of(number: int, now: float = 1_000.0, etag: str = "e") -> Poll:
    caller = Caller(Role.AGENT, 1, agent_id=number, agent_uuid=UUID(int=number))
    return Poll(bytes([number]), caller, "/", etag, b"1", checked_at=now, used_at=now)


def filled(clock: Clock, numbers: int, **bounds: int) -> PollMemory:
    memory = memory_of(clock, **bounds)
    for number in range(1, numbers + 1):
        memory.put(poll_of(number), memory.generation)
    return memory


def test_holds_as_many_as_allowed_and_drops_the_oldest() -> None:
    memory = filled(Clock(), 5, entries_max=3)
    assert len(memory) == 3
    assert [number for number in range(1, 6) if memory.find(bytes([number]))] == [3, 4, 5]
    assert set(memory._by_agent) == {UUID(int=n) for n in (3, 4, 5)} | {3, 4, 5}


def test_forgets_an_agent_by_either_id_and_no_other() -> None:
    memory = filled(Clock(), 4)
    memory.forget(2)
    memory.forget(UUID(int=3))
    assert [number for number in range(1, 5) if memory.find(bytes([number]))] == [1, 4]
    assert set(memory._by_agent) == {UUID(int=1), UUID(int=4), 1, 4}


def test_takes_nothing_that_was_read_before_something_was_dropped() -> None:
    memory = memory_of(Clock())
    generation = memory.generation
    memory.forget(7)
    memory.put(poll_of(1), generation)
    assert len(memory) == 0
    memory.put(poll_of(1), memory.generation)
    assert len(memory) == 1


def test_trusts_an_entry_for_a_while_only() -> None:
    clock = Clock()
    memory = filled(clock, 1)
    clock.now += LIFE_SECONDS - 0.1
    assert memory.find(b"\x01") is not None
    clock.now += 0.1
    assert memory.find(b"\x01") is None


@pytest.mark.parametrize("topic", [TARGET_STATES.name, ACCESS.name])
def test_remembers_nothing_while_it_does_not_hear_everything(topic: str) -> None:
    memory = filled(Clock(), 2)
    memory.stop_listening(topic)
    memory.put(poll_of(3), memory.generation)
    assert (len(memory), memory.hears_all) == (0, False)
    memory.listen(topic)
    memory.put(poll_of(3), memory.generation)
    assert len(memory) == 1


async def test_a_gap_in_the_bus_empties_it_and_a_change_its_agent_alone(ctx: Context) -> None:
    memory = PollMemory(now=Clock())
    supervisor = Supervisor(poll_workers(memory, system(ctx)))
    supervisor.start()
    try:
        await until(lambda: memory.hears_all)
        for number in (1, 2, 3, 4):
            memory.put(poll_of(number), memory.generation)
        await ctx.bus.publish(TARGET_STATES, TargetStateChanged(1, UUID(int=1)))
        await ctx.bus.publish(ACCESS, AccessChanged(1, agent_id=2))
        await ctx.bus.publish(ACCESS, AccessChanged(1, user_id=UUID(int=3)))
        await until(lambda: len(memory) == 2)
        assert isinstance(ctx.bus, RecordingBus)
        ctx.bus._inner._fanout.resync()
        await until(lambda: len(memory) == 0)
        assert memory.hears_all
    finally:
        await supervisor.stop()
    assert not memory.hears_all


class TestLook:
    async def test_holds_all_entries_against_the_database_in_one_statement(
        self, ctx: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock()
        memory = memory_of(clock)
        digests = []
        ends = {4: "superseded_at", 5: "revoked_at", 6: "expires_at"}
        for number in range(7):
            agent = await make_agent(ctx, is_active=number != 1)
            key = secret_hash(DEVICE_KEY_PURPOSE, await give_key(ctx, agent))
            if number in ends:
                now = {ends[number]: ctx.clock.now()}
                await DeviceKey.of(ctx.tenant_id, agent_id=agent.id).update(**now)
            poll = poll_of(number + 1, etag="stale" if number == 2 else EMPTY_ETAG)
            poll.digest = key
            memory.put(poll, memory.generation)
            digests.append(key)
        memory.put(poll_of(9), memory.generation)  # a key that is no more
        clock.now += 15
        with counted(monkeypatch) as sent:
            await memory.look(system(ctx))
            await memory.look(system(ctx))
        assert len([text for text in sent if "device_key" in text]) == 1
        clock.now += LIFE_SECONDS - 15
        assert [n for n, digest in enumerate(digests) if memory.find(digest)] == [0, 3]
        assert len(memory) == 2

    async def test_leaves_alone_what_was_dropped_and_read_anew_meanwhile(
        self, ctx: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock()
        memory = filled(clock, 2)
        clock.now += 15
        asked, answered = asyncio.Event(), asyncio.Event()

        async def slow(_: Context, digests: list[bytes]) -> dict[bytes, str]:
            asked.set()
            await answered.wait()
            return {b"\x01": "of the old one", b"\x02": "e"}

        monkeypatch.setattr(fleetgraph.poll_memory, "find_polled_etags", slow)
        looking = asyncio.create_task(memory.look(system(ctx)))
        await asked.wait()
        memory.forget(1)
        memory.put(poll_of(1, clock.now, "new"), memory.generation)
        clock.now += 5
        answered.set()
        await looking
        read_anew = memory.find(b"\x01")
        assert read_anew is not None
        assert read_anew.etag == "new"
        poll = memory.find(b"\x02")
        assert poll is not None
        assert poll.checked_at == clock.now - 5  # when the database was asked, not when it answered

    async def test_drops_agents_that_poll_no_more(self, ctx: Context) -> None:
        clock = Clock()
        memory = filled(clock, 2)
        clock.now += IDLE_SECONDS + 1
        await memory.look(system(ctx))
        assert len(memory) == 0


class TestSightings:
    async def test_of_many_agents_are_written_in_one_statement(
        self, ctx: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory = PollMemory()
        agents = [await make_agent(ctx, is_active=number != 2) for number in range(5)]
        for agent in agents * 3:
            memory.see(agent.id)
        with counted(monkeypatch) as sent:
            await memory.flush(system(ctx))
            await memory.flush(system(ctx))
        assert len([text for text in sent if "update agent" in text]) == 1
        rows = await Agent.of(ctx.tenant_id).order_by("id")
        assert [row.is_online for row in rows] == [True, True, False, True, True]

    async def test_wait_for_a_database_that_is_away(
        self, ctx: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory, agent = PollMemory(), await make_agent(ctx)
        memory.see(agent.id)

        async def away(*_: object) -> None:
            raise Unavailable("database")

        with monkeypatch.context() as patched:
            patched.setattr(fleetgraph.poll_memory, "mark_seen", away)
            await memory.flush(system(ctx))
        await memory.flush(system(ctx))
        assert (await Agent.find_row(ctx.tenant_id, id=agent.id)).is_online
