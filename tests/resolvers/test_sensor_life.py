"""How a sensor's status follows what its agent does, and what becomes of those that are deleted."""

from __future__ import annotations

from typing import Any

import pytest

from core.context import Context
from core.errors import Conflict, NotFound
from core.sensor_edits import SensorValues
from core.sensors import KEPT, KEPT_BY_AGENT
from models.agents import Agent
from models.endpoints import Endpoint
from resolvers import register, sensor_changes, sensors, target_states
from tests.factories import make_agent
from tests.resolvers.reading_agent import ReadingAgent
from tests.resolvers.test_sensors import POINT, TCP, add, names, polled


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


@pytest.fixture
def edge(ctx: Context, agent: Agent) -> ReadingAgent:
    return ReadingAgent(ctx, agent)


async def sensor(ctx: Context, agent: Agent, name: str = "press_plc") -> Endpoint:
    return await sensors.get_sensor(ctx, agent.uuid, name)


async def status(ctx: Context, agent: Agent, name: str = "press_plc") -> str:
    return (await sensor(ctx, agent, name)).status


async def update(ctx: Context, agent: Agent, **changes: Any) -> None:
    await sensor_changes.update_sensor(ctx, agent.uuid, "press_plc", SensorValues(**changes))


async def delete(ctx: Context, agent: Agent, name: str, **how: Any) -> str | None:
    change = await sensor_changes.delete_sensor(ctx, agent.uuid, name, **how)
    return change.warning


async def put(ctx: Context, agent: Agent, *entries: dict[str, Any]) -> None:
    await target_states.set_target_state(
        ctx, agent.uuid, apps={}, config={"endpoints": list(entries)}
    )


async def test_a_sensor_is_deployed_once_its_agent_shows_it(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    await add(ctx, agent)
    await edge.report()
    assert await status(ctx, agent) == "pending"
    await edge.sync()
    shown = await sensor(ctx, agent)
    assert shown.status == "deployed"
    assert shown.deployed_at is not None
    await edge.report(restarted=True, version=1)
    assert await status(ctx, agent) == "deployed"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "press_plc_2"},
        {"enabled": False},
        {"poll_interval": 9000},
        {"connection": TCP | {"port": 503}},
        {"data_points": [POINT, POINT | {"name": "temp", "address": 2}]},
        {"data_points": [POINT | {"address": 4}]},
    ],
    ids=["name", "enabled", "interval", "connection", "points", "address"],
)
async def test_a_changed_sensor_is_pending_until_its_agent_shows_the_change(
    ctx: Context, agent: Agent, edge: ReadingAgent, changes: dict[str, Any]
) -> None:
    uuid = str((await add(ctx, agent, poll_interval=1000)).uuid)
    await edge.sync()
    await update(ctx, agent, **changes)
    await edge.report(restarted=True)
    assert await status(ctx, agent, uuid) == "pending"
    await edge.sync()
    assert await status(ctx, agent, uuid) == "deployed"


async def test_defaults_and_found_points_are_no_difference(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    row = await add(ctx, agent)
    await edge.poll()
    entry = edge.endpoints[str(row.uuid)]
    entry["connection"] = entry["connection"] | {"timeout": 3000}
    entry["dataPoints"] = [*entry["dataPoints"], {"name": "found"}]
    entry |= {"metadata": {}, "pollInterval": 5000}
    await edge.report()
    assert await status(ctx, agent) == "deployed"


async def test_an_agent_that_applied_the_target_without_the_sensor_has_failed_at_it(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    await add(ctx, agent, "other")
    edge.refused = {"press_plc"}
    await edge.sync()
    await add(ctx, agent)
    await edge.report(restarted=True)
    assert (await sensor(ctx, agent)).deployment_attempts == 0
    await edge.sync()
    assert (await sensor(ctx, agent)).deployment_attempts == 1
    assert await status(ctx, agent) == "pending"
    for _ in range(5):
        await edge.report()
    failed = await sensor(ctx, agent)
    assert (failed.status, failed.deployment_attempts) == ("failed", 3)
    assert failed.deployment_error is not None
    assert "does not show this endpoint" in failed.deployment_error
    assert await status(ctx, agent, "other") == "deployed"
    edge.refused = set()
    await edge.sync()
    well = await sensor(ctx, agent)
    assert (well.status, well.deployment_attempts, well.deployment_error) == ("deployed", 0, None)


async def test_an_error_that_the_agent_reports_is_a_failure_and_silence_of_a_device_is_none(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    await add(ctx, agent)
    await edge.sync()
    offline = {"status": "offline", "connected": False, "lastError": "DEVICE_OFFLINE"}
    await edge.report(endpoints_health={"press_plc": offline})
    assert await status(ctx, agent) == "deployed"
    broken = {"status": "error", "lastError": "cannot log in with password=hunter2"}
    await edge.report(endpoints_health={"press_plc": broken})
    failed = await sensor(ctx, agent)
    assert failed.status == "failed"
    assert failed.deployment_error == "cannot log in with password=***"
    await edge.report(endpoints_health={"press_plc": {"status": "online"}})
    assert await status(ctx, agent) == "deployed"


async def test_a_scan_target_counts_as_deployed_once_its_version_was_applied(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    await add(ctx, agent, "other")
    await add(ctx, agent, connection=TCP | {"slaveRange": "1-10"}, data_points=None)
    await edge.report(restarted=True)
    assert await status(ctx, agent) == "pending"
    await edge.sync()
    assert await status(ctx, agent) == "deployed"


async def test_a_deleted_sensor_waits_until_its_agent_lets_go_of_it(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    for name in ("press_plc", "other"):
        await add(ctx, agent, name)
    await edge.sync()
    assert await delete(ctx, agent, "press_plc") is None
    assert await status(ctx, agent) == "pending_deletion"
    assert [entry["name"] for entry in await polled(ctx, agent)] == ["other"]
    await edge.report(restarted=True)
    assert await status(ctx, agent) == "pending_deletion"
    assert await delete(ctx, agent, "press_plc") is None
    await edge.sync()
    assert await names(ctx, agent) == ["other"]


async def test_a_sensor_that_the_agent_never_had_is_gone_at_once(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    await add(ctx, agent, "other")
    await edge.sync()
    await add(ctx, agent)
    await delete(ctx, agent, "press_plc")
    assert await names(ctx, agent) == ["other"]


async def test_a_name_is_free_again_while_the_old_sensor_leaves(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    for name in ("press_plc", "other"):
        await add(ctx, agent, name)
    await edge.sync()
    await delete(ctx, agent, "press_plc")
    await add(ctx, agent)
    assert await names(ctx, agent) == ["other", "press_plc", "press_plc"]
    assert await status(ctx, agent) == "pending"
    await edge.sync()
    assert await names(ctx, agent) == ["other", "press_plc"]


async def test_a_hard_deleted_sensor_is_gone_from_both_at_once(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    for name in ("press_plc", "other"):
        await add(ctx, agent, name)
    await edge.sync()
    assert await delete(ctx, agent, "press_plc", hard=True) is None
    assert await names(ctx, agent) == ["other"]
    await edge.report(restarted=True)
    assert await names(ctx, agent) == ["other"]
    await edge.sync()
    assert edge.reads == ["other"]
    with pytest.raises(NotFound):
        await delete(ctx, agent, "press_plc", hard=True)
    assert await delete(ctx, agent, "other", hard=True) == KEPT_BY_AGENT
    assert await names(ctx, agent) == []
    await edge.sync()
    assert edge.reads == ["other"]


async def test_the_last_sensor_is_switched_off_and_leaves_once_there_is_another(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    await add(ctx, agent)
    await edge.sync()
    assert edge.reads == ["press_plc"]
    assert await delete(ctx, agent, "press_plc") == KEPT
    assert await delete(ctx, agent, "press_plc") == KEPT
    await edge.sync()
    assert edge.reads == []
    left = await sensor(ctx, agent)
    assert (left.status, left.deployment_error) == ("pending_deletion", KEPT)
    with pytest.raises(Conflict):
        await update(ctx, agent, enabled=True)
    await add(ctx, agent, "other")
    assert (await sensor(ctx, agent)).deployment_error is None
    await edge.sync()
    assert list(edge.reads) == await names(ctx, agent) == ["other"]


async def test_the_last_sensor_can_be_deleted_hard_after_all(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    await add(ctx, agent)
    await edge.sync()
    await delete(ctx, agent, "press_plc")
    await edge.sync()
    await delete(ctx, agent, "press_plc", hard=True)
    assert await names(ctx, agent) == []
    assert await polled(ctx, agent) == []
    await edge.sync()
    assert edge.reads == []


async def test_a_scan_target_does_not_make_an_agent_forget_its_last_sensor(
    ctx: Context, agent: Agent
) -> None:
    await add(ctx, agent, "scan", connection=TCP | {"slaveRange": "1-10"}, data_points=None)
    await add(ctx, agent)
    assert await delete(ctx, agent, "press_plc") == KEPT
    assert [entry["enabled"] for entry in await polled(ctx, agent)] == [True, False]


async def test_a_document_without_endpoints_says_that_the_agent_keeps_its_own(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    await add(ctx, agent)
    await edge.sync()
    await put(ctx, agent)
    await edge.sync()
    assert edge.reads == ["press_plc"]
    left = await sensor(ctx, agent)
    assert (left.status, left.deployment_error) == ("pending_deletion", KEPT_BY_AGENT)


async def test_a_whole_document_keeps_the_record_of_what_it_repeats(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    row = await add(ctx, agent, location="hall 1")
    await edge.sync()
    await put(ctx, agent, row.entry, row.entry | {"uuid": str(ctx.ids.uuid()), "name": "b"})
    same = await sensor(ctx, agent)
    assert (same.status, same.location, same.target_version) == ("deployed", "hall 1", 2)
    assert await status(ctx, agent, "b") == "pending"


async def test_a_replayed_report_moves_nothing(
    ctx: Context, agent: Agent, edge: ReadingAgent
) -> None:
    await add(ctx, agent)
    await edge.poll()
    await edge.report(version=None)
    assert await status(ctx, agent) == "pending"


async def test_a_deleted_agent_leaves_no_sensors(ctx: Context, agent: Agent) -> None:
    await add(ctx, agent)
    await register.delete_agent(ctx, agent.uuid)
    assert await names(ctx) == []
