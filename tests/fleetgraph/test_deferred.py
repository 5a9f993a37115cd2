"""A report that is accepted while the database is away is on disk first, and done later."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from core.clock import SystemClock
from core.context import Context
from core.errors import Unavailable
from fleetgraph import deferred as deferred_module
from fleetgraph.deferred import DeferredReports
from models.agents import Agent
from models.current_states import CurrentState
from resolvers.current_states import report_state
from resolvers.state_history import list_state_history
from rest_compat.calls import Deferred
from tests.doubles import ManualClock
from tests.resolvers.edge import Edge, as_agent, provision, system


async def fail() -> None:
    raise AssertionError("the spool does the work by itself")


def request(edge: Edge | None, body: bytes, *, bearer: bool = False) -> Deferred:
    headers = {}
    if edge is not None and bearer:
        headers = {"authorization": f"Bearer {edge.device_key}"}
    elif edge is not None:
        headers = {"x-device-api-key": edge.device_key}
    return Deferred(cast("Any", None), None, "r-1", headers, body, fail)


def report(edge: Edge, version: int) -> bytes:
    body = {str(edge.uuid): {"apps": {}, "config": {"v": version}, "version": version}}
    return json.dumps(body).encode()


async def reported(agent: Agent) -> int | None:
    row = await CurrentState.of(agent.tenant_id, agent_id=agent.id).first()
    return row.version if row else None


@pytest.fixture
def spool(tmp_path: Path) -> DeferredReports:
    return DeferredReports(tmp_path / "deferred", SystemClock())


def kept(tmp_path: Path) -> str:
    return "".join(path.read_text() for path in (tmp_path / "deferred").glob("*"))


@pytest.mark.parametrize("bearer", [False, True])
async def test_does_what_it_took(ctx: Context, spool: DeferredReports, bearer: bool) -> None:
    edge, agent = await provision(ctx)
    assert await spool.take(request(edge, report(edge, 3), bearer=bearer))
    assert await reported(agent) is None
    await spool.step(system(ctx))
    assert await reported(agent) == 3


async def test_it_is_on_disk_before_it_is_accepted(
    ctx: Context, spool: DeferredReports, tmp_path: Path
) -> None:
    edge, agent = await provision(ctx)
    await spool.take(request(edge, report(edge, 3)))
    assert edge.device_key not in kept(tmp_path), "only a digest of the key is kept"
    # Another process after a crash of this one.
    await DeferredReports(tmp_path / "deferred", ctx.clock).step(system(ctx))
    assert await reported(agent) == 3
    assert kept(tmp_path) == ""


async def test_keeps_the_order(ctx: Context, spool: DeferredReports) -> None:
    edge, agent = await provision(ctx)
    for version in (1, 2, 3):
        await spool.take(request(edge, report(edge, version)))
    await spool.step(system(ctx))
    assert await reported(agent) == 3


async def test_goes_on_where_the_database_left(
    ctx: Context, spool: DeferredReports, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge, agent = await provision(ctx)
    for version in (1, 2, 3):
        await spool.take(request(edge, report(edge, version)))
    done = list[int]()
    is_away = True

    async def away_after_the_first(ctx: Context, body: Any, **options: Any) -> None:
        if done and is_away:
            raise Unavailable("database")
        await report_state(ctx, body, **options)
        done.append(body[str(edge.uuid)]["version"])

    monkeypatch.setattr(deferred_module, "report_state", away_after_the_first)
    await spool.step(system(ctx))
    assert done == [1]
    is_away = False
    await spool.take(request(edge, report(edge, 4)))
    await spool.step(system(ctx))
    assert done == [1, 2, 3, 4]
    assert await reported(agent) == 4


async def test_one_that_is_refused_does_not_block_the_next(
    ctx: Context, spool: DeferredReports, tmp_path: Path
) -> None:
    edge, agent = await provision(ctx)
    await spool.take(request(Edge.make(), b"{}"))
    await spool.take(request(edge, b"no json"))
    await spool.take(request(edge, report(edge, 2)))
    await spool.step(system(ctx))
    assert await reported(agent) == 2
    assert kept(tmp_path) == ""


async def test_a_line_that_a_crash_cut_short_is_skipped(
    ctx: Context, spool: DeferredReports, tmp_path: Path
) -> None:
    edge, agent = await provision(ctx)
    await spool.take(request(edge, report(edge, 2)))
    with (tmp_path / "deferred" / "reports.ndjson").open("ab") as file:
        file.write(b'{"key_digest":"AAAA","bo')
    await spool.step(system(ctx))
    assert await reported(agent) == 2


async def test_nothing_is_taken_without_a_device_key(spool: DeferredReports) -> None:
    assert not await spool.take(request(None, b"{}"))


async def test_nothing_is_taken_when_the_spool_is_full(
    ctx: Context, spool: DeferredReports, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge, agent = await provision(ctx)
    monkeypatch.setattr(deferred_module, "SPOOL_BYTES_MAX", 1_000)
    assert await spool.take(request(edge, report(edge, 1)))
    assert not await spool.take(request(edge, b"x" * 2_000))
    await spool.step(system(ctx))
    assert await reported(agent) == 1
    assert await spool.take(request(edge, report(edge, 2)))


async def test_one_that_nobody_foresaw_is_set_aside_and_the_next_is_done(
    ctx: Context, spool: DeferredReports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge, agent = await provision(ctx)

    async def stumbles_over_the_first(ctx: Context, body: Any, **options: Any) -> None:
        if body[str(edge.uuid)]["version"] == 3:
            raise RuntimeError("nobody foresaw this")
        await report_state(ctx, body, **options)

    monkeypatch.setattr(deferred_module, "report_state", stumbles_over_the_first)
    assert await spool.take(request(edge, report(edge, 3)))
    assert await spool.take(request(edge, report(edge, 4)))
    await spool.step(system(ctx))
    assert await reported(agent) == 4
    refused = tmp_path / "deferred" / "reports.refused.ndjson"
    assert refused.read_text().count("\n") == 1


async def test_one_that_is_nested_without_end_is_refused(
    ctx: Context, spool: DeferredReports, tmp_path: Path
) -> None:
    edge, agent = await provision(ctx)
    deep = b'{"%s": ' % str(edge.uuid).encode() + b'{"a":' * 3_000 + b"1" + b"}" * 3_001
    assert await spool.take(request(edge, deep))
    assert await spool.take(request(edge, report(edge, 4)))
    await spool.step(system(ctx))
    assert await reported(agent) == 4
    assert kept(tmp_path) == ""


class Outage:
    """An agent's reports at moments of one clock: put off while the database is away, or not."""

    def __init__(self, ctx: Context, edge: Edge, agent: Agent, tmp_path: Path) -> None:
        self.clock = ManualClock(ctx.clock.now())
        self.ctx = replace(ctx, clock=self.clock)
        self.edge, self.agent = edge, agent
        self.spool = DeferredReports(tmp_path / "deferred", self.clock)

    async def put_off(self, version: int) -> None:
        assert await self.spool.take(request(self.edge, report(self.edge, version)))

    async def report(self, version: int) -> None:
        body = json.loads(report(self.edge, version))
        await report_state(as_agent(self.ctx, self.agent), body, transport="mqtt")

    async def over(self) -> None:
        await self.spool.step(system(self.ctx))

    async def row(self) -> Agent:
        return await Agent.find_row(self.agent.tenant_id, id=self.agent.id)


@pytest.fixture
async def outage(ctx: Context, tmp_path: Path) -> Outage:
    return Outage(ctx, *await provision(ctx), tmp_path)


async def test_what_was_put_off_does_not_undo_a_newer_report(outage: Outage) -> None:
    await outage.put_off(3)
    outage.clock.advance(seconds=60)
    await outage.report(5)
    outage.clock.advance(seconds=5)
    await outage.over()
    assert await reported(outage.agent) == 5
    (newest, late) = (await list_state_history(outage.ctx, outage.agent.uuid, 10)).items
    assert (newest.version, late.version) == (5, 3)
    assert newest.at - late.at == timedelta(seconds=60), "it is dated by when it came"
    assert not late.is_replay


async def test_an_agent_was_there_when_its_report_came_not_when_it_was_done(
    outage: Outage,
) -> None:
    came_at = outage.clock.now()
    await Agent.of(outage.agent.tenant_id, id=outage.agent.id).update(
        is_online=False, last_seen_at=None
    )
    await outage.put_off(3)
    outage.clock.advance(seconds=3_600)
    await outage.over()
    row = await outage.row()
    assert row.last_seen_at == came_at
    assert not row.is_online
    assert await reported(outage.agent) == 3
    await outage.put_off(4)
    outage.clock.advance(seconds=30)
    await outage.over()
    assert (await outage.row()).is_online, "half a minute ago is lately enough"


async def test_a_half_character_does_not_cost_a_report(ctx: Context, outage: Outage) -> None:
    body = b'{"%s": {"version": 6, "apps": {}, "os_version": "cut \\ud83d"}}'
    assert await outage.spool.take(request(outage.edge, body % str(outage.edge.uuid).encode()))
    await outage.over()
    assert (await outage.row()).os_version == "cut \ufffd"


async def test_what_an_older_program_kept_is_done(outage: Outage, tmp_path: Path) -> None:
    await outage.put_off(3)
    file = tmp_path / "deferred" / "reports.ndjson"
    line = json.loads(file.read_text())
    del line["came_at"]
    file.write_text(json.dumps(line) + "\n")
    await outage.over()
    assert await reported(outage.agent) == 3
