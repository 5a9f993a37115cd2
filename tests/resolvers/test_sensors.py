"""Sensors one by one: added, changed, listed, and what of them is told to whom."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from core.context import Context
from core.errors import Conflict, InvalidInput, NotFound, PayloadTooLarge, PreconditionFailed
from core.sensor_edits import SensorValues
from models.agent_lists import AgentFilter
from models.agents import Agent
from models.connection import fetch
from models.endpoints import Endpoint
from resolvers import sensor_changes, sensors, target_states
from resolvers.sensors import EndpointFilter
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import as_agent

TCP: dict[str, Any] = {"type": "tcp", "host": "192.0.2.20", "port": 502, "slaveId": 1}
POINT: dict[str, Any] = {"name": "speed", "address": 0, "type": "holding", "dataType": "uint16"}


def values(name: str = "press_plc", **changes: Any) -> SensorValues:
    given = {"name": name, "protocol": "modbus", "connection": TCP, "data_points": [POINT]}
    return SensorValues(**(given | changes))


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def add(ctx: Context, agent: Agent, name: str = "press_plc", **changes: Any) -> Endpoint:
    change = await sensor_changes.add_sensor(ctx, agent.uuid, values(name, **changes))
    assert change.sensor is not None
    return change.sensor


async def names(ctx: Context, agent: Agent | None = None, **wanted: Any) -> list[str]:
    uuid = agent.uuid if agent else None
    page = await sensors.list_sensors(ctx, EndpointFilter(**wanted), 50, None, agent_uuid=uuid)
    assert page.total == len(page.items)
    return [row.name for row in page.items]


async def polled(ctx: Context, agent: Agent) -> list[dict[str, Any]]:
    state = await target_states.poll_target_state(as_agent(ctx, agent), agent.uuid)
    endpoints: list[dict[str, Any]] = state.document[str(agent.uuid)]["config"]["endpoints"]
    return endpoints


async def test_a_sensor_that_is_added_is_in_what_the_agent_polls(
    ctx: Context, agent: Agent
) -> None:
    change = await sensor_changes.add_sensor(ctx, agent.uuid, values(poll_interval=2000))
    assert change.version == 2
    sensor = change.sensor
    assert sensor is not None
    assert (sensor.name, sensor.protocol, sensor.status) == ("press_plc", "modbus", "pending")
    assert (sensor.created_by, sensor.target_version) == (ctx.caller.user_id, 2)
    assert await polled(ctx, agent) == [
        {
            "uuid": str(sensor.uuid),
            "enabled": True,
            "name": "press_plc",
            "protocol": "modbus",
            "connection": TCP,
            "dataPoints": [POINT],
            "pollInterval": 2000,
        }
    ]


async def test_a_sensor_is_found_by_name_and_by_uuid(ctx: Context, agent: Agent) -> None:
    sensor = await add(ctx, agent)
    for key in ("press_plc", str(sensor.uuid), str(sensor.uuid).upper()):
        assert await sensors.get_sensor(ctx, agent.uuid, key) == sensor
    with pytest.raises(NotFound):
        await sensors.get_sensor(ctx, agent.uuid, "other")


async def test_only_checking_changes_nothing(ctx: Context, agent: Agent) -> None:
    secret = TCP | {"password": "s3cret"}
    change = await sensor_changes.add_sensor(
        ctx, agent.uuid, values(connection=secret), validate_only=True
    )
    assert (change.version, change.sensor) == (1, None)
    assert change.checked is not None
    assert change.checked["connection"]["password"] == "***"
    assert change.checked["metadata"]["createdBy"] == str(ctx.caller.user_id)
    assert await names(ctx, agent) == []
    with pytest.raises(InvalidInput):
        await sensor_changes.add_sensor(ctx, agent.uuid, values(connection={}), validate_only=True)


async def test_what_is_wrong_is_told_by_path_all_at_once(ctx: Context, agent: Agent) -> None:
    wrong = values(connection=TCP | {"port": 0}, data_points=[POINT | {"address": -1}])
    with pytest.raises(InvalidInput) as refused:
        await sensor_changes.add_sensor(ctx, agent.uuid, wrong)
    errors: Any = refused.value.facts["errors"]
    assert [error["field"] for error in errors] == ["connection.port", "dataPoints[0].address"]
    with pytest.raises(InvalidInput, match="dataPoints: must have at least one point"):
        await sensor_changes.add_sensor(ctx, agent.uuid, values(data_points=None))
    with pytest.raises(InvalidInput, match="NUL"):
        await sensor_changes.add_sensor(ctx, agent.uuid, values(metadata={"a": "\0"}))


async def test_a_document_cannot_grow_beyond_the_limit(ctx: Context, agent: Agent) -> None:
    big = {"note": "x" * ctx.policy.target_state_bytes_max}
    with pytest.raises(PayloadTooLarge):
        await sensor_changes.add_sensor(ctx, agent.uuid, values(metadata=big))


async def test_names_and_uuids_are_unique_per_agent(ctx: Context, agent: Agent) -> None:
    first, other = await add(ctx, agent), await make_agent(ctx)
    await add(ctx, agent, "second")
    await add(ctx, other)
    with pytest.raises(Conflict):
        await add(ctx, agent)
    with pytest.raises(Conflict):
        await add(ctx, agent, "third", uuid=first.uuid)
    with pytest.raises(Conflict):
        await sensor_changes.update_sensor(ctx, agent.uuid, "second", SensorValues("press_plc"))


async def test_a_change_touches_what_is_given_and_keeps_the_spelling(
    ctx: Context, agent: Agent
) -> None:
    uuid = str(ctx.ids.uuid())
    entry: dict[str, Any] = {"uuid": uuid, "name": "a", "protocol": "modbus", "connection": TCP}
    entry |= {"registers": [POINT], "poll_interval": 500, "madeUp": [1]}
    await target_states.set_target_state(
        ctx, agent.uuid, apps={}, config={"endpoints": [entry], "logging": {"level": "warn"}}
    )
    changed = SensorValues(name="b", poll_interval=900, data_points=[POINT | {"unit": "RPM"}])
    change = await sensor_changes.update_sensor(ctx, agent.uuid, uuid, changed)
    assert change.version == 3
    expected = entry | {"name": "b", "poll_interval": 900}
    assert await polled(ctx, agent) == [expected | {"registers": [POINT | {"unit": "RPM"}]}]
    state = await target_states.get_target_state(ctx, agent.uuid)
    assert state.config["logging"] == {"level": "warn"}
    same = await sensor_changes.update_sensor(ctx, agent.uuid, "b", SensorValues(name="b"))
    assert same.version == 3


async def test_a_change_of_the_place_is_none_for_the_agent(ctx: Context, agent: Agent) -> None:
    await add(ctx, agent, location="hall 1")
    moved = SensorValues(location="hall 2")
    change = await sensor_changes.update_sensor(ctx, agent.uuid, "press_plc", moved)
    assert change.sensor is not None
    assert (change.sensor.location, change.version) == ("hall 2", 2)


async def test_a_change_may_demand_the_version_it_knows(ctx: Context, agent: Agent) -> None:
    await add(ctx, agent)
    for call in (
        sensor_changes.add_sensor(ctx, agent.uuid, values("b"), if_version=1),
        sensor_changes.update_sensor(ctx, agent.uuid, "press_plc", SensorValues(), if_version=1),
        sensor_changes.delete_sensor(ctx, agent.uuid, "press_plc", if_version=1),
    ):
        with pytest.raises(PreconditionFailed):
            await call


async def test_a_masked_answer_sent_back_keeps_every_secret(ctx: Context, agent: Agent) -> None:
    login = {"endpointUrl": "opc.tcp://op:pw@192.0.2.9:4840", "password": "s3cret"}
    await add(ctx, agent, protocol="opcua", connection=login, data_points=None)
    shown = {"endpointUrl": "opc.tcp://***@192.0.2.9:4840", "password": "***", "timeout": 500}
    echo = SensorValues(connection=shown)
    await sensor_changes.update_sensor(ctx, agent.uuid, "press_plc", echo)
    (entry,) = await polled(ctx, agent)
    assert entry["connection"] == login | {"timeout": 500}
    changed = SensorValues(connection=shown | {"password": "another"})
    await sensor_changes.update_sensor(ctx, agent.uuid, "press_plc", changed)
    (entry,) = await polled(ctx, agent)
    assert entry["connection"]["password"] == "another"
    for lost in ({"endpointUrl": "opc.tcp://***@192.0.2.8"}, shown | {"token": "***"}):
        with pytest.raises(InvalidInput, match="stands for a secret"):
            await sensor_changes.update_sensor(
                ctx, agent.uuid, "press_plc", SensorValues(connection=lost)
            )


async def test_sensors_of_many_agents_are_listed_by_name_and_picked(ctx: Context) -> None:
    one, two = await make_agent(ctx, name="press 1"), await make_agent(ctx, name="oven 2")
    await add(ctx, one, "b")
    await add(ctx, two, "a")
    plc = {"endpointUrl": "opc.tcp://192.0.2.9"}
    await add(ctx, two, "c", protocol="opcua", connection=plc, data_points=None)
    assert await names(ctx) == ["a", "b", "c"]
    assert await names(ctx, two) == ["a", "c"]
    assert await names(ctx, protocol="opcua") == ["c"]
    assert await names(ctx, text="B") == ["b"]
    assert await names(ctx, agents=AgentFilter(text="press")) == ["b"]
    assert await names(ctx, agents=AgentFilter(text="press"), protocol="opcua") == []
    counts = await sensors.count_sensors(ctx, EndpointFilter())
    told = [(each.protocol, each.status, each.count) for each in counts]
    assert told == [("modbus", "pending", 2), ("opcua", "pending", 1)]


async def test_pages_follow_one_another(ctx: Context, agent: Agent) -> None:
    for name in "bdac":
        await add(ctx, agent, name)
    seen, after = [], None
    while True:
        page = await sensors.list_sensors(ctx, EndpointFilter(), 3, after)
        seen += [row.name for row in page.items]
        assert page.total == 4
        if not page.has_next:
            break
        after = page.cursors[-1]
    assert seen == ["a", "b", "c", "d"]
    for bad in ("x", "WzEsMiwzXQ"):
        with pytest.raises(InvalidInput):
            await sensors.list_sensors(ctx, EndpointFilter(), 3, bad)


async def test_what_only_a_draft_has_is_listed_as_one(ctx: Context, agent: Agent) -> None:
    live = await add(ctx, agent)
    state = await target_states.get_target_state(ctx, agent.uuid)
    entry = live.entry | {"uuid": str(ctx.ids.uuid()), "name": "later"}
    state.draft_apps, state.draft_of = {}, state.version
    state.draft_config = {"endpoints": [live.entry, entry]}
    await state.save()
    assert await names(ctx, agent, status="draft") == ["later"]
    assert await names(ctx, agent, status="pending") == ["press_plc"]
    for call in (
        sensor_changes.delete_sensor(ctx, agent.uuid, "later"),
        sensor_changes.update_sensor(ctx, agent.uuid, "later", SensorValues(name="x")),
    ):
        with pytest.raises(NotFound):
            await call


async def test_sensors_of_another_tenant_are_not_there(ctx: Context, agent: Agent) -> None:
    await add(ctx, agent)
    tenant = await make_tenant(ctx.clock, ctx.ids)
    stranger = ctx.acting_as(type(ctx.caller)(ctx.caller.role, tenant.id))
    assert await names(stranger) == []
    for call in (
        sensors.get_sensor(stranger, agent.uuid, "press_plc"),
        sensor_changes.add_sensor(stranger, agent.uuid, values("b")),
        sensor_changes.update_sensor(stranger, agent.uuid, "press_plc", SensorValues(name="x")),
        sensor_changes.delete_sensor(stranger, agent.uuid, "press_plc", hard=True),
        sensor_changes.reset_sensor_credentials(stranger, agent.uuid, "press_plc"),
    ):
        with pytest.raises(NotFound):
            await call


async def test_an_mqtt_sensor_without_a_topic_gets_its_own_and_a_login(
    ctx: Context, agent: Agent
) -> None:
    given = values("gauge", protocol="mqtt", connection={}, data_points=None)
    change = await sensor_changes.add_sensor(ctx, agent.uuid, given)
    assert change.sensor is not None
    assert change.credentials is not None
    assert change.sensor.entry["connection"] == {"topic": change.credentials.topic, "qos": 1}
    reset = await sensor_changes.reset_sensor_credentials(ctx, agent.uuid, "gauge")
    assert reset.credentials is not None
    assert reset.credentials.username == change.credentials.username
    assert reset.credentials.password != change.credentials.password
    kept = await sensor_changes.update_sensor(
        ctx, agent.uuid, "gauge", SensorValues(connection={"qos": 0})
    )
    assert kept.sensor is not None
    assert kept.credentials is None
    assert kept.sensor.entry["connection"] == change.sensor.entry["connection"]
    assert await accounts(ctx, change.sensor.uuid) == 1
    await sensor_changes.delete_sensor(ctx, agent.uuid, "gauge", hard=True)
    assert await accounts(ctx, change.sensor.uuid) == 0


async def test_an_mqtt_sensor_with_a_topic_reads_what_the_agent_can_reach(
    ctx: Context, agent: Agent
) -> None:
    field = {"topic": "hall/1/#"}
    given = values("gauge", protocol="mqtt", connection=field, data_points=None)
    change = await sensor_changes.add_sensor(ctx, agent.uuid, given)
    assert change.credentials is None
    assert change.sensor is not None
    assert change.sensor.entry["connection"] == field
    with pytest.raises(InvalidInput):
        await sensor_changes.reset_sensor_credentials(ctx, agent.uuid, "gauge")


async def test_the_login_ends_when_a_whole_document_leaves_the_sensor_out(
    ctx: Context, agent: Agent
) -> None:
    sensor = await add(ctx, agent, "gauge", protocol="mqtt", connection={}, data_points=None)
    assert await accounts(ctx, sensor.uuid) == 1
    await target_states.set_target_state(ctx, agent.uuid, apps={}, config={"endpoints": []})
    assert await accounts(ctx, sensor.uuid) == 0


async def accounts(ctx: Context, uuid: UUID) -> int:
    sql = "select count(*) as n from mqtt_account where tenant_id = $1 and endpoint_uuid = $2"
    return int((await fetch(sql, ctx.tenant_id, uuid))[0]["n"])


async def test_no_secret_reaches_the_audit_log(ctx: Context, agent: Agent) -> None:
    v2 = {"host": "switch.example", "version": "2c", "community": "s3cret-plant"}
    point = {"name": "uptime", "oid": "1.3.6.1.2.1.1.3.0"}
    await add(ctx, agent, protocol="snmp", connection=v2, data_points=[point])
    changed = SensorValues(connection=v2 | {"community": "s3cret-other"})
    await sensor_changes.update_sensor(ctx, agent.uuid, "press_plc", changed)
    await sensor_changes.delete_sensor(ctx, agent.uuid, "press_plc", hard=True)
    sql = "select event_type as type, details::text as text from audit_event where tenant_id = $1"
    sql += " order by id"
    rows = await fetch(sql, ctx.tenant_id)
    assert [row["type"] for row in rows if row["type"].startswith("sensor")] == [
        "sensor_created",
        "sensor_updated",
        "sensor_deleted",
    ]
    assert "switch.example" in str(rows)
    assert "s3cret" not in str(rows)
