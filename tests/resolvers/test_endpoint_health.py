"""Health of endpoints: rows as last reported, and a history that counts by our clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.context import Context
from core.errors import InvalidInput
from models.agents import Agent
from models.connection import fetch
from models.endpoint_health import EndpointHealth, HealthRecord, health_of, page_of_health_history
from resolvers import current_states
from tests.doubles import ManualClock
from tests.factories import make_agent
from tests.resolvers.edge import as_agent

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PRESS: dict[str, Any] = {
    "protocol": "modbus",
    "status": "online",
    "connected": True,
    "lastPoll": "2026-03-01T10:05:00.000Z",
    "lastSeen": "2026-03-01T12:05:00.500+02:00",
    "errorCount": 2,
    "lastError": "timed out",
    "responseTimeMs": 12,
    "pollSuccessRate": 0.5,
    "registersUpdated": 2,
    "communicationQuality": "good",
}
ENTIRE = EndpointHealth(
    name="press_plc",
    protocol="modbus",
    status="online",
    connected=True,
    last_poll=datetime(2026, 3, 1, 10, 5, tzinfo=UTC),
    last_seen=datetime(2026, 3, 1, 10, 5, 0, 500_000, tzinfo=UTC),
    error_count=2,
    last_error="timed out",
    response_time_ms=12,
    poll_success_rate=0.5,
    communication_quality="good",
    agent_id=0,
    updated_at=NOON,
)


class Gateway:
    """Reports the health of its endpoints at moments of a clock that it owns."""

    def __init__(self, ctx: Context, agent: Agent) -> None:
        self.clock = ManualClock(NOON)
        self.agent = agent
        self.me = as_agent(replace(ctx, clock=self.clock), agent)

    async def report(self, health: Any, **members: Any) -> None:
        body = {"version": 1, "endpoints_health": health} | members
        body = {key: value for key, value in body.items() if value is not None}
        await current_states.report_state(self.me, body, transport="http")

    async def rows(self) -> dict[str, EndpointHealth]:
        found = await health_of(self.agent.tenant_id, [self.agent.id, self.agent.id])
        return {each.name: each for each in found}

    async def history(self, name: str = "press_plc", **changes: Any) -> list[HealthRecord]:
        options: dict[str, Any] = {"protocol": None, "since": None, "first": 100, "after": None}
        return (await page_of_health_history(self.agent, name=name, **options | changes)).items


@pytest.fixture
async def gateway(ctx: Context) -> Gateway:
    return Gateway(ctx, await make_agent(ctx))


async def test_keeps_all_that_is_told_of_an_endpoint(gateway: Gateway) -> None:
    await gateway.report({"press_plc": PRESS})
    assert await gateway.rows() == {"press_plc": replace(ENTIRE, agent_id=gateway.agent.id)}
    assert await gateway.history() == [
        HealthRecord(
            name="press_plc",
            protocol="modbus",
            status="online",
            connected=True,
            last_poll=ENTIRE.last_poll,
            error_count=2,
            last_error="timed out",
            at=NOON,
        )
    ]


async def test_a_new_endpoint_may_not_know_yet_whether_it_is_connected(gateway: Gateway) -> None:
    await gateway.report({"new": {"status": "offline", "connected": None, "lastSeen": None}})
    found = (await gateway.rows())["new"]
    assert (found.status, found.connected, found.last_seen) == ("offline", None, None)


async def test_the_map_that_comes_is_the_whole(gateway: Gateway) -> None:
    await gateway.report({"press_plc": PRESS, "oven": PRESS})
    gateway.clock.advance(seconds=60)
    await gateway.report({"oven": PRESS | {"status": "offline"}})
    assert {name: row.status for name, row in (await gateway.rows()).items()} == {"oven": "offline"}
    assert len(await gateway.history()) == 1, "the history outlives the endpoint"
    await gateway.report({})
    assert await gateway.rows() == {}


async def test_a_report_without_health_leaves_it_as_it_is(gateway: Gateway) -> None:
    await gateway.report({"press_plc": PRESS})
    gateway.clock.advance(seconds=60)
    await gateway.report(None, apps={})
    assert (await gateway.rows())["press_plc"].updated_at == NOON
    assert len(await gateway.history()) == 1


async def test_ten_seconds_have_one_record_that_tells_a_change(gateway: Gateway) -> None:
    for status in ("online", "online", "offline", "online", "online"):
        await gateway.report({"press_plc": PRESS | {"status": status, "errorCount": 7}})
        gateway.clock.advance(seconds=4)
    found = [(each.at - NOON, each.status) for each in await gateway.history()]
    assert found == [(timedelta(seconds=10), "online"), (timedelta(0), "offline")]


async def test_an_agent_whose_clock_is_a_day_off_is_believed_nothing_but_its_words(
    gateway: Gateway,
) -> None:
    """lastPoll and lastSeen in the far future are stored as told; times of records are ours."""
    for shift in (-1, 1):
        told = (NOON + timedelta(days=shift)).isoformat()
        await gateway.report({"press_plc": PRESS | {"lastPoll": told, "lastSeen": told}})
        row = (await gateway.rows())["press_plc"]
        assert row.last_poll == row.last_seen == NOON + timedelta(days=shift)
        assert row.updated_at == gateway.clock.now()
        gateway.clock.advance(seconds=30)
    assert [each.at for each in await gateway.history()] == [NOON + timedelta(seconds=30), NOON]
    agent = await Agent.find_row(gateway.agent.tenant_id, id=gateway.agent.id)
    assert agent.last_seen_at == NOON + timedelta(seconds=30)


@pytest.mark.parametrize(
    "odd",
    [
        {"lastPoll": "0001-01-01T00:00:00+14:00", "lastSeen": "yesterday", "errorCount": 1e300},
        {"lastPoll": 5, "status": 7, "connected": "yes", "protocol": ["modbus"]},
        {"errorCount": -5, "responseTimeMs": True, "lastError": "x" * 5_000},
        {"lastPoll": "2026-03-01T10:05:00", "lastError": {"code": 1}, "status": "s" * 300},
    ],
    ids=["times", "types", "numbers", "lengths"],
)
async def test_odd_parts_are_left_out(gateway: Gateway, odd: dict[str, Any]) -> None:
    long = "n" * 400
    await gateway.report({"odd": odd, long: {}, long + "x": {}, "press_plc": PRESS})
    found = await gateway.rows()
    assert found["press_plc"].status == "online"
    assert found.keys() == {"odd", "n" * 255, "press_plc"}
    assert (found["odd"].error_count or 0) >= 0


async def test_many_endpoints_cost_one_statement(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    async def noted(sql: str, *values: object) -> Any:
        sent.append(sql)
        return await fetch(sql, *values)

    monkeypatch.setattr("models.endpoint_health.fetch", noted)
    await gateway.report({f"endpoint {number}": PRESS for number in range(300)})
    assert len(sent) == 1
    assert len(await gateway.rows()) == 300


async def test_pages_hold_each_record_once_newest_first(gateway: Gateway) -> None:
    for count in range(5):
        await gateway.report({"press_plc": PRESS | {"errorCount": count}})
        gateway.clock.advance(seconds=10)
    found: list[int | None] = []
    after = None
    for _ in range(3):
        page = await page_of_health_history(
            gateway.agent, "modbus", "press_plc", None, first=2, after=after
        )
        found += [each.error_count for each in page.items]
        after = page.cursors[-1]
    assert found == [4, 3, 2, 1, 0]
    assert not page.has_next
    assert await gateway.history(protocol="opcua") == []
    late = await gateway.history(since=NOON + timedelta(seconds=30))
    assert [each.error_count for each in late] == [4, 3]
    with pytest.raises(InvalidInput, match="after"):
        await gateway.history(after="x")
