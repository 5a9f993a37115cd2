from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.context import Context
from core.errors import Conflict, InvalidInput, NotFound, PreconditionFailed
from models.agents import Agent
from models.target_states import TargetState
from resolvers import target_apps, target_drafts, target_states
from tests.factories import make_agent, make_tenant

WEB = {"serviceName": "web", "image": "nginx:1.27", "ports": ["8080:80"]}


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def add(ctx: Context, agent: Agent, app_id: int = 7, **changes: Any) -> TargetState:
    values: dict[str, Any] = {"name": "hmi", "services": [WEB]}
    return await target_apps.add_app(ctx, agent.uuid, app_id, **(values | changes))


def services(state: TargetState, app_id: int = 7) -> list[dict[str, Any]]:
    app: Any = state.apps[str(app_id)]
    found: list[dict[str, Any]] = app["services"]
    return found


async def test_an_added_app_has_the_form_that_agents_read(ctx: Context, agent: Agent) -> None:
    state = await add(ctx, agent)
    (service,) = services(state)
    number = service.pop("serviceId")
    assert number >= 1
    assert service == {
        "serviceName": "web",
        "imageName": "nginx:1.27",
        "appId": 7,
        "appName": "hmi",
        "state": "running",
        "config": {"image": "nginx:1.27", "ports": ["8080:80"]},
    }
    assert (state.version, state.apps["7"]["appName"]) == (2, "hmi")  # type: ignore[index]  # JSON
    with pytest.raises(Conflict):
        await add(ctx, agent)


async def test_service_ids_are_never_given_twice(ctx: Context, agent: Agent) -> None:
    other = await make_agent(ctx)
    two = [WEB, {"serviceName": "db", "image": "postgres:16"}]
    states = [await add(ctx, agent, services=two), await add(ctx, other, services=two)]
    assert len({each["serviceId"] for state in states for each in services(state)}) == 4


async def test_services_keep_their_ids_by_name(ctx: Context, agent: Agent) -> None:
    before = {each["serviceName"]: each["serviceId"] for each in services(await add(ctx, agent))}
    two = [{"serviceName": "db", "image": "postgres:16"}, WEB | {"image": "nginx:1.28"}]
    state = await target_apps.set_app(ctx, agent.uuid, 7, name="hmi 2", services=two)
    after = {each["serviceName"]: each["serviceId"] for each in services(state)}
    assert after["web"] == before["web"] != after["db"]
    assert {each["appName"] for each in services(state)} == {"hmi 2"}
    given = await target_apps.set_app(
        ctx, agent.uuid, 7, name=None, services=[WEB | {"serviceId": 3}]
    )
    assert [each["serviceId"] for each in services(given)] == [3]


async def test_an_update_leaves_the_rest_and_a_replacement_does_not(
    ctx: Context, agent: Agent
) -> None:
    apps = {"7": {"appId": 7, "appName": "hmi", "services": [], "ours": 1}}
    await target_states.set_target_state(ctx, agent.uuid, apps=apps, config={"n": 1})
    renamed = await target_apps.update_app(ctx, agent.uuid, 7, name="b", services=None)
    assert renamed.apps == {"7": {"appId": 7, "appName": "b", "services": [], "ours": 1}}
    await target_apps.update_app(ctx, agent.uuid, 7, name=None, services=[WEB])
    replaced = await target_apps.set_app(ctx, agent.uuid, 7, name=None, services=None)
    assert replaced.apps == {"7": {"appId": 7, "appName": "b", "services": []}}
    assert replaced.config == {"n": 1}
    with pytest.raises(NotFound):
        await target_apps.update_app(ctx, agent.uuid, 8, name="b", services=None)


async def test_one_service_gets_another_image(ctx: Context, agent: Agent) -> None:
    two = [WEB, {"serviceName": "db", "image": "postgres:16"}]
    before = services(await add(ctx, agent, services=two))
    state = await target_apps.set_service_image(ctx, agent.uuid, 7, "web", "nginx:1.28")
    web, db = services(state)
    assert (web["imageName"], web["config"]["image"]) == ("nginx:1.28", "nginx:1.28")
    assert web["config"]["ports"] == ["8080:80"]
    assert db == before[1]
    for app_id, name in ((8, "web"), (7, "cache")):
        with pytest.raises(NotFound):
            await target_apps.set_service_image(ctx, agent.uuid, app_id, name, "a")
    with pytest.raises(InvalidInput):
        await target_apps.set_service_image(ctx, agent.uuid, 7, "web", "a\nb")


async def test_a_removed_app_leaves_the_others_and_the_draft(ctx: Context, agent: Agent) -> None:
    await add(ctx, agent)
    await add(ctx, agent, 8)
    await target_drafts.save_target_draft(ctx, agent.uuid, apps={}, config={"drafted": True})
    state = await target_apps.remove_app(ctx, agent.uuid, 7)
    assert (list(state.apps), state.config, state.has_draft) == (["8"], {}, True)
    with pytest.raises(NotFound):
        await target_apps.remove_app(ctx, agent.uuid, 7)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"app_id": -1}, "appId"),
        ({"app_id": 2**53 + 1}, "appId"),
        ({"services": {}}, "services"),
        ({"services": [1]}, "services[0]"),
        ({"services": [WEB | {"config": []}]}, "services[0].config"),
        ({"services": [WEB | {"ports": ["x"]}]}, "apps.7.services[0].config.ports[0]"),
        ({"services": [WEB | {"state": "gone"}]}, "apps.7.services[0].state"),
        ({"services": [{"image": "a"}]}, "apps.7.services[0].serviceName"),
    ],
)
async def test_names_the_path_of_what_is_wrong(
    ctx: Context, agent: Agent, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await add(ctx, agent, **changes)
    assert caught.value.facts["field"] == field


async def test_an_endpoint_of_old_that_breaks_a_rule_does_not_hold_up_apps(
    ctx: Context, agent: Agent
) -> None:
    await add(ctx, agent)
    await TargetState.of(ctx.tenant_id).update(config={"endpoints": [{"id": "old"}]})
    assert (await target_apps.remove_app(ctx, agent.uuid, 7)).apps == {}


async def test_heeds_versions_and_tenants(ctx: Context, agent: Agent) -> None:
    await add(ctx, agent)
    other = await make_tenant(ctx.clock, ctx.ids)
    stranger = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
    for caller, version, expected in ((ctx, 1, PreconditionFailed), (stranger, None, NotFound)):
        for edit in (
            target_apps.add_app(caller, agent.uuid, 9, name="a", services=[], if_version=version),
            target_apps.set_app(caller, agent.uuid, 7, name="a", services=[], if_version=version),
            target_apps.update_app(
                caller, agent.uuid, 7, name="a", services=None, if_version=version
            ),
            target_apps.set_service_image(caller, agent.uuid, 7, "web", "a", if_version=version),
            target_apps.remove_app(caller, agent.uuid, 7, if_version=version),
        ):
            with pytest.raises(expected):
                await edit
