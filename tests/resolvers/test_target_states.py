from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from core.context import Context
from core.errors import (
    Forbidden,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
)
from core.events import AgentChanged, BrokerMessagesChanged, TargetStateChanged
from core.policy import Policy
from models.agents import Agent
from models.connection import fetch
from models.target_states import TargetState
from resolvers import target_states
from tests.doubles import RecordingBus
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import as_agent, provision, published

APPS = {"1001": {"appId": 1001, "appName": "edge-stack", "services": []}}
ENDPOINT = {
    "uuid": "6a1d0c52-7b3e-4f80-8a11-9c2b3d4e5f60",
    "name": "press_plc",
    "protocol": "modbus",
    "connection": {"type": "tcp", "host": "192.0.2.20", "port": 502},
}


async def poll(ctx: Context, agent: Agent) -> tuple[str, dict[str, Any]]:
    state = await target_states.poll_target_state(as_agent(ctx, agent), agent.uuid)
    assert list(state.document) == [str(agent.uuid)]
    return state.etag, state.document[str(agent.uuid)]


async def put(ctx: Context, agent: Agent, **changes: Any) -> TargetState:
    values: dict[str, Any] = {"apps": APPS, "config": {"endpoints": [ENDPOINT]}}
    return await target_states.set_target_state(ctx, agent.uuid, **(values | changes))


class TestPolling:
    async def test_an_agent_without_a_state_gets_an_empty_one(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        _, inner = await poll(ctx, agent)
        assert inner == {
            "apps": {},
            "config": {},
            "version": 1,
            "needs_deployment": False,
            "last_deployed_at": None,
        }
        state = await target_states.get_target_state(ctx, agent.uuid)
        assert (state.version, state.apps, state.config) == (1, {}, {})

    async def test_gets_what_was_set_as_json(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        stored = await put(ctx, agent)
        etag, inner = await poll(ctx, agent)
        assert etag == stored.etag
        assert json.loads(json.dumps(inner)) == inner
        assert inner["apps"] == APPS
        assert inner["config"] == {"endpoints": [ENDPOINT]}
        assert inner["version"] == 2

    async def test_a_poll_shows_that_the_agent_is_there(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        await poll(ctx, agent)
        assert (await Agent.find_row(ctx.tenant_id, id=agent.id)).is_online

    async def test_an_interval_at_one_place_reaches_the_agent_at_both(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        config = {
            "intervals": {
                "reportIntervalMs": 20_000,
                "agent": {"metricsIntervalMs": 5_000},
                "discovery": {"fullIntervalMs": 1},
            }
        }
        await put(ctx, agent, config=config)
        _, inner = await poll(ctx, agent)
        both = {"reportIntervalMs": 20_000, "metricsIntervalMs": 5_000}
        assert inner["config"]["intervals"] == both | {
            "agent": both,
            "discovery": {"fullIntervalMs": 1},
        }
        assert (await target_states.get_target_state(ctx, agent.uuid)).config == config

    @pytest.mark.parametrize("intervals", [None, 5, [], {}, {"agent": 7}, {"agent": {}}])
    async def test_strange_intervals_of_old_pass_unchanged(
        self, ctx: Context, intervals: object
    ) -> None:
        agent = await make_agent(ctx)
        await put(ctx, agent)
        await TargetState.of(ctx.tenant_id).update(config={"intervals": intervals})
        assert (await poll(ctx, agent))[1]["config"] == {"intervals": intervals}

    async def test_another_agents_state_is_not_found(self, ctx: Context) -> None:
        agent, neighbour = await make_agent(ctx), await make_agent(ctx)
        me = as_agent(ctx, agent)
        for ask in (target_states.poll_target_state, target_states.get_target_state):
            with pytest.raises(NotFound):
                await ask(me, neighbour.uuid)
        assert (await target_states.get_target_state(me, agent.uuid)).version == 1

    async def test_a_superseded_key_polls_nothing(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        with pytest.raises(Forbidden):
            await target_states.poll_target_state(as_agent(ctx, agent, superseded=True), agent.uuid)


class TestEtag:
    async def test_moves_exactly_with_apps_and_config(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        first = await put(ctx, agent)
        same = await put(ctx, agent)
        assert (same.etag, same.version) == (first.etag, first.version)
        other_apps = await put(ctx, agent, apps={})
        other_config = await put(ctx, agent, config={"a": 1})
        both_empty = await target_states.clear_target_state(ctx, agent.uuid)
        etags = {state.etag for state in (first, other_apps, other_config, both_empty)}
        assert len(etags) == 4
        assert all(len(etag) == 40 and int(etag, 16) for etag in etags)

    async def test_the_order_of_keys_makes_no_difference(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        one = await put(ctx, agent, config={"a": 1, "b": {"c": 1, "d": 2}})
        two = await put(ctx, agent, config={"b": {"d": 2, "c": 1}, "a": 1})
        assert one.etag == two.etag

    async def test_survives_the_database(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        stored = await put(ctx, agent, config={"n": 1.0, "m": 1e300, "t": "°C", "l": [None, True]})
        again = await target_states.get_target_state(ctx, agent.uuid)
        assert again.etag == stored.etag
        assert (await put(ctx, agent, apps=again.apps, config=again.config)).etag == stored.etag


class TestSetting:
    async def test_replaces_the_whole_and_tells_listeners(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        await put(ctx, agent)
        state = await put(ctx, agent, apps={}, config=None)
        assert (state.version, state.apps, state.config) == (3, {}, {})
        assert state.updated_by == ctx.caller.user_id
        assert isinstance(ctx.bus, RecordingBus)
        events = [event for _, event in ctx.bus.published]
        assert events[-3:] == [
            TargetStateChanged(ctx.tenant_id, agent.uuid),
            BrokerMessagesChanged(),
            AgentChanged(ctx.tenant_id, agent.uuid),
        ]

    async def test_the_same_document_again_changes_nothing(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        first = await put(ctx, agent, config={"a": {"b": 1, "c": 2}})
        assert isinstance(ctx.bus, RecordingBus)
        told = len(ctx.bus.published)
        again = await put(ctx, agent, config={"a": {"c": 2, "b": 1}}, if_version=2)
        assert (again.version, again.updated_at) == (2, first.updated_at)
        assert len(ctx.bus.published) == told
        with pytest.raises(PreconditionFailed):
            await put(ctx, agent, config={"a": {"c": 2, "b": 1}}, if_version=1)

    async def test_clearing_heeds_the_version(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        await put(ctx, agent)
        with pytest.raises(PreconditionFailed):
            await target_states.clear_target_state(ctx, agent.uuid, if_version=1)
        assert (await target_states.clear_target_state(ctx, agent.uuid, if_version=2)).version == 3

    async def test_each_change_leaves_a_hint_for_the_agent_at_the_broker(
        self, ctx: Context
    ) -> None:
        agent = await make_agent(ctx)
        for n in range(2):
            state = await put(ctx, agent, config={"n": n})
            (row,) = await fetch(
                "select channel, payload, revision from broker_message"
                " where tenant_id = $1 and agent_id = $2",
                ctx.tenant_id,
                agent.id,
            )
            assert (row["channel"], row["revision"]) == ("target-state", n + 1)
            hint = json.loads(row["payload"])
            assert (hint["version"], hint["etag"]) == (state.version, state.etag)
            assert datetime.fromisoformat(hint["updated_at"]) == state.updated_at
        assert len(published(ctx, BrokerMessagesChanged)) == 2

    async def test_takes_an_array_of_apps(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        state = await put(ctx, agent, apps=[{"appId": 7, "appName": "a"}, {"appId": 8}])
        assert state.apps == {"7": {"appId": 7, "appName": "a"}, "8": {"appId": 8}}

    async def test_a_wrong_version_changes_nothing(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        await put(ctx, agent, if_version=1)
        with pytest.raises(PreconditionFailed) as caught:
            await put(ctx, agent, apps={}, if_version=1)
        assert caught.value.facts["version"] == 2
        assert (await target_states.get_target_state(ctx, agent.uuid)).apps == APPS
        await put(ctx, agent, if_version=2)

    async def test_of_ten_at_once_with_the_same_version_one_wins(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        answers = await asyncio.gather(
            *(put(ctx, agent, config={"n": n}, if_version=1) for n in range(10)),
            return_exceptions=True,
        )
        lost = [answer for answer in answers if isinstance(answer, PreconditionFailed)]
        assert len(lost) == 9
        assert (await target_states.get_target_state(ctx, agent.uuid)).version == 2

    async def test_ten_at_once_each_get_a_version(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        states = await asyncio.gather(*(put(ctx, agent, config={"n": n}) for n in range(10)))
        assert sorted(state.version for state in states) == list(range(2, 12))

    async def test_goes_on_from_the_first_state_of_a_provisioned_agent(self, ctx: Context) -> None:
        _, agent = await provision(ctx)
        assert (await put(ctx, agent)).version == 2

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"apps": None}, "apps"),
            ({"apps": "x"}, "apps"),
            ({"apps": {"1": 5}}, "apps.1"),
            ({"apps": [5]}, "apps[0]"),
            ({"apps": [{"appId": 1}, {"appName": "x"}]}, "apps[1].appId"),
            ({"apps": [{"appId": True}]}, "apps[0].appId"),
            ({"apps": [{"appId": 1}, {"appId": 1}]}, "apps[1].appId"),
            ({"apps": {"1": {"a": "\x00"}}}, "apps"),
            ({"apps": {"1": {"a": 2**70}}}, "apps"),
            ({"config": []}, "config"),
            ({"config": {"a\x00": 1}}, "config"),
            ({"config": {"endpoints": {}}}, "config.endpoints"),
            ({"config": {"endpoints": [ENDPOINT, 5]}}, "config.endpoints[1]"),
            ({"config": {"endpoints": [{"id": 1}]}}, "config.endpoints[0].uuid"),
            ({"config": {"endpoints": [ENDPOINT | {"uuid": "x"}]}}, "config.endpoints[0].uuid"),
            ({"config": {"endpoints": [ENDPOINT, ENDPOINT]}}, "config.endpoints[1].uuid"),
            (
                {"config": {"endpoints": [ENDPOINT | {"connection": "{}"}]}},
                "config.endpoints[0].connection",
            ),
            (
                {"config": {"endpoints": [ENDPOINT | {"connection": None}]}},
                "config.endpoints[0].connection",
            ),
        ],
    )
    async def test_names_the_path_of_what_is_wrong(
        self, ctx: Context, changes: dict[str, Any], field: str
    ) -> None:
        agent = await make_agent(ctx)
        with pytest.raises(InvalidInput) as caught:
            await put(ctx, agent, **changes)
        assert caught.value.facts["field"] == field

    async def test_refuses_what_is_nested_without_end(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        deep: dict[str, Any] = {}
        for _ in range(300):
            deep = {"a": deep}
        with pytest.raises(InvalidInput):
            await put(ctx, agent, config=deep)

    async def test_bounds_the_size(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        small = replace(ctx, policy=Policy(target_state_bytes_max=1_000))
        await put(small, agent, apps={}, config={"text": "x" * 980})
        with pytest.raises(PayloadTooLarge) as caught:
            await put(small, agent, apps={}, config={"text": "x" * 1_000})
        assert caught.value.facts["limit_bytes"] == 1_000

    async def test_another_tenants_agent_is_not_found(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        other = await make_tenant(ctx.clock, ctx.ids)
        stranger = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
        with pytest.raises(NotFound):
            await put(stranger, agent)
        with pytest.raises(NotFound):
            await target_states.clear_target_state(stranger, agent.uuid)
        with pytest.raises(NotFound):
            await target_states.get_target_state(stranger, agent.uuid)
        with pytest.raises(NotFound):
            await target_states.get_target_state(ctx, uuid4())
        assert await TargetState.of(ctx.tenant_id).count() == 0
