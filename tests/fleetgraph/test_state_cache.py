"""Polls answered from memory: the same answers as the endpoint's, no SQL, and never a stale one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

import fleetgraph.app
import resolvers.agents
import resolvers.target_states
from core.callers import Caller
from core.context import Context
from core.errors import Unavailable
from core.events import ACCESS, AccessChanged
from core.rate_limits import RateScope
from fleetgraph.limits import CallLimiter, MemoryWindows
from models.agents import Agent
from models.database import DatabaseUrl
from models.device_keys import DeviceKey
from models.notifications import PostgresPubSub
from models.target_states import TargetState
from resolvers import register, target_history, target_states
from tests.fleetgraph.polling import Polling, polling, until
from tests.resolvers.edge import system
from tests.schema.test_statements import counted


@pytest.fixture
async def edge(ctx: Context) -> AsyncIterator[Polling]:
    async with polling(ctx) as found:
        await put(ctx, found.agent, 0)
        yield found


async def put(ctx: Context, agent: Agent, n: int) -> TargetState:
    return await target_states.set_target_state(ctx, agent.uuid, apps={}, config={"n": n})


def limited(ctx: Context, calls: int) -> Context:
    return replace(ctx, limits=CallLimiter(MemoryWindows(), dict.fromkeys(RateScope, calls)))


FORMS = ("{}", '"{}"', 'W/"{}"', '"other", "{}"', "other, {}", " {} ", "*")


class TestFromMemory:
    @pytest.mark.parametrize("form", FORMS)
    async def test_asks_no_database(
        self, edge: Polling, form: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        etag = (await edge.warm()).strip('"')
        with counted(monkeypatch) as sent:
            answers = [await edge.poll(form.format(etag)) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {304}
        assert sent == []

    @pytest.mark.parametrize("form", FORMS)
    async def test_has_the_headers_of_the_generated_endpoint(self, ctx: Context, form: str) -> None:
        async with polling(limited(ctx, 10)) as edge:
            await put(ctx, edge.agent, 1)
            etag = (await edge.warm()).strip('"')
            headers = {"x-request-id": "r-1", "origin": "https://elsewhere.example"}
            remembered = await edge.poll(form.format(etag), **headers)
            edge.memory.forget_all()
            generated = await edge.poll(form.format(etag), **headers)
            again = await edge.poll(form.format(etag), **headers)
        assert [a.status_code for a in (remembered, generated, again)] == [304, 304, 304]
        raws = [dict(answer.headers.raw) for answer in (remembered, generated, again)]
        left = [int(raw.pop(b"ratelimit-remaining")) for raw in raws]
        assert left == [7, 6, 5] == [int(raw.pop(b"x-ratelimit-remaining")) for raw in raws]
        assert raws[0] == raws[1] == raws[2]
        assert [[*map(str, a.headers)] for a in (remembered, again)] == [
            [*map(str, generated.headers)]
        ] * 2
        assert raws[0][b"etag"] == f'"{etag}"'.encode()
        assert int(raws[0][b"x-content-length"]) > 100
        assert {answer.content for answer in (remembered, generated, again)} == {b""}

    async def test_the_endpoint_teaches_by_a_304_too(self, edge: Polling) -> None:
        etag = await edge.warm()
        edge.memory.forget_all()
        first = await edge.poll(etag)
        assert (len(edge.memory), first.status_code) == (1, 304)
        second = await edge.poll(etag)
        assert second.headers["x-content-length"] == first.headers["x-content-length"]

    async def test_is_counted_like_any_call_of_an_agent(self, ctx: Context) -> None:
        async with polling(limited(ctx, 4)) as edge:
            etag = await edge.warm()
            answers = [await edge.poll(etag) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [304] * 4
        assert ["etag" in answer.headers for answer in answers] == [True, True, False, False]
        assert answers[3].headers["ratelimit-remaining"] == "0"

    async def test_shows_that_the_agent_is_there(self, ctx: Context, edge: Polling) -> None:
        etag = await edge.warm()
        await Agent.of(ctx.tenant_id, id=edge.agent.id).update(is_online=False)
        resolvers.agents._seen.forget(edge.agent.id)
        await edge.poll(etag)
        await edge.memory.flush(system(ctx))
        assert (await Agent.find_row(ctx.tenant_id, id=edge.agent.id)).is_online


class TestPassedOn:
    async def test_what_is_no_plain_poll_with_the_newest_tag(self, edge: Polling) -> None:
        etag = await edge.warm()
        other = f"/api/v1/device/{UUID(int=1)}/state"
        key = {"x-device-api-key": edge.key, "if-none-match": etag}
        statuses = [
            (await edge.poll()).status_code,
            (await edge.poll('"other"')).status_code,
            (await edge.client.get(other, headers=key)).status_code,
            (await edge.client.post(edge.path, headers=key)).status_code,
            (await edge.client.get(edge.path, headers={"if-none-match": etag})).status_code,
            (await edge.poll(etag, **{"x-device-api-key": f"{edge.key}0"})).status_code,
        ]
        assert statuses == [200, 200, 404, 405, 401, 401]
        head = await edge.client.head(edge.path, headers=key)
        assert (head.status_code, "etag" in head.headers) == (304, True)

    async def test_an_agent_that_has_no_state_yet_learns_so(self, ctx: Context) -> None:
        async with polling(ctx) as edge:
            etag = await edge.warm()
            assert (await edge.poll(etag)).status_code == 304
            await put(ctx, edge.agent, 1)
            assert (await edge.poll(etag)).status_code == 200


class TestNeverStale:
    async def test_a_change_counts_at_once(self, ctx: Context, edge: Polling) -> None:
        etag = await edge.warm()
        for n in range(1, 4):
            assert (await edge.poll(etag)).status_code == 304
            state = await put(ctx, edge.agent, n)
            answer = await edge.poll(etag)
            assert (answer.status_code, answer.headers["etag"]) == (200, f'"{state.etag}"')
            etag = answer.headers["etag"]

    async def test_a_document_that_comes_back_is_known_already(
        self, ctx: Context, edge: Polling
    ) -> None:
        etag = await edge.warm()
        await put(ctx, edge.agent, 1)
        await target_history.roll_back_target_state(ctx, edge.agent.uuid, 2)
        answers = [await edge.poll(etag) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [304, 304]
        assert len(edge.memory) == 1

    async def test_what_was_read_before_a_change_is_not_remembered_after_it(
        self, ctx: Context, edge: Polling, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The reader has the old row, the writer commits on another connection, the reader ends."""
        has_read, may_go_on = asyncio.Event(), asyncio.Event()
        mark_seen = resolvers.agents.mark_seen

        async def held(*arguments: Any) -> None:
            has_read.set()
            await may_go_on.wait()
            await mark_seen(*arguments)

        monkeypatch.setattr(resolvers.target_states, "mark_seen", held)
        reading = asyncio.create_task(edge.poll())
        await has_read.wait()
        state = await put(ctx, edge.agent, 7)
        may_go_on.set()
        old = await reading
        assert old.headers["etag"] != f'"{state.etag}"'
        assert len(edge.memory) == 0
        answer = await edge.poll(old.headers["etag"])
        assert (answer.status_code, answer.headers["etag"]) == (200, f'"{state.etag}"')

    async def test_a_locked_out_agent_is_refused_at_once(self, ctx: Context, edge: Polling) -> None:
        etag = await edge.warm()
        await register.set_agent_active(ctx, edge.agent.uuid, is_active=False)
        assert (await edge.poll(etag)).status_code == 403
        await register.set_agent_active(ctx, edge.agent.uuid, is_active=True)
        await edge.warm()
        await register.delete_agent(ctx, edge.agent.uuid)
        assert (await edge.poll(etag)).status_code == 401

    async def test_a_key_that_has_a_successor_polls_no_more(
        self, ctx: Context, edge: Polling
    ) -> None:
        etag = await edge.warm()
        now = ctx.clock.now()
        await DeviceKey.of(ctx.tenant_id, agent_id=edge.agent.id).update(superseded_at=now)
        await ctx.bus.publish(ACCESS, AccessChanged(ctx.tenant_id, agent_id=edge.agent.id))
        assert (await edge.poll(etag)).status_code == 403

    async def test_every_replica_hears_of_it(
        self, ctx: Context, edge: Polling, database_url: DatabaseUrl
    ) -> None:
        ours, theirs = PostgresPubSub(database_url), PostgresPubSub(database_url)
        await ours.start()
        await theirs.start()
        try:
            here, there = replace(ctx, bus=ours), replace(ctx, bus=theirs)
            async with polling(there, edge.agent, edge.key) as replica:
                await replica.warm()
                await put(here, edge.agent, 1)
                await until(lambda: len(replica.memory) == 0)
                await replica.warm()
                await register.set_agent_active(here, edge.agent.uuid, is_active=False)
                await until(lambda: len(replica.memory) == 0)
                assert (await replica.poll("*")).status_code == 403
        finally:
            await ours.stop()
            await theirs.stop()

    async def test_a_message_that_was_lost_is_made_up_for(
        self, ctx: Context, edge: Polling, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ahead = 0.0
        clock = edge.memory._now
        monkeypatch.setattr(edge.memory, "_now", lambda: clock() + ahead)
        etag = await edge.warm()
        await TargetState.of(ctx.tenant_id, agent_id=edge.agent.id).update(etag="silent")
        assert (await edge.poll(etag)).status_code == 304
        ahead = 15.0
        await edge.memory.look(system(ctx))
        assert (await edge.poll(etag)).status_code == 200
        ahead = 60.0
        await TargetState.of(ctx.tenant_id, agent_id=edge.agent.id).update(etag="again")
        assert (await edge.poll('"silent"')).status_code == 200


class TestDatabaseAway:
    async def test_a_poll_with_a_tag_is_answered_all_the_same(
        self, edge: Polling, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        etag = await edge.warm()

        async def away(*_: object, **__: object) -> Caller:
            raise Unavailable("database")

        monkeypatch.setattr(fleetgraph.app, "caller_of", away)
        assert (await edge.poll(etag)).headers["etag"] == etag
        edge.memory.forget_all()
        for validator in (etag, '"another"', "*"):
            assert (await edge.poll(validator)).status_code == 304
        unknown = await edge.poll(etag, **{"x-device-api-key": "v2_unknown"})
        assert unknown.status_code == 304
        assert len(edge.memory) == 0
