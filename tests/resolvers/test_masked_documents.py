"""Documents that come back as they were read: `***` stands for what is stored, or is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.context import Context
from core.errors import InvalidInput
from core.masking import masked
from models.agents import Agent
from models.connection import fetch
from models.target_states import TargetState
from resolvers import target_apps, target_drafts, target_history, target_states
from resolvers.target_states import get_target_state, set_target_state
from tests.factories import make_agent

UUID = "6a1d0c52-7b3e-4f80-8a11-9c2b3d4e5f60"
SERVICES: list[dict[str, Any]] = [
    {
        "serviceId": 1,
        "serviceName": "web",
        "config": {
            "image": "nginx:1.27",
            "environment": {"DB_PASSWORD": "hush-1", "MODE": "a"},
            "args": [["--token=hush-2", "x"], ["y"]],
        },
    },
    {
        "serviceId": 2,
        "serviceName": "db",
        "config": {"environment": ["PASSWORD=hush-3", "A=b"], "url": "pg://op:hush-4@h/db"},
    },
]
APPS = {"7": {"appId": 7, "appName": "hmi", "services": SERVICES}}
ENDPOINT: dict[str, Any] = {
    "uuid": UUID,
    "name": "press",
    "protocol": "modbus",
    "connection": {"type": "tcp", "host": "192.0.2.20", "port": 502, "password": "hush-5"},
    "notes": ["y" * 2_500, {"password": "hush-6"}],
}
CONFIG = {"endpoints": [ENDPOINT]}


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    agent = await make_agent(ctx)
    await set_target_state(ctx, agent.uuid, apps=APPS, config=CONFIG)
    return agent


def shown(document: dict[str, Any]) -> Any:
    found = masked(document)
    assert "hush" not in str(found)
    return found


async def test_a_document_sent_back_as_it_was_shown_changes_nothing(
    ctx: Context, agent: Agent
) -> None:
    before = await get_target_state(ctx, agent.uuid)
    for apps, config in (
        (APPS, CONFIG),
        (shown(APPS), shown(CONFIG)),
        ([shown(APPS["7"])], shown(CONFIG)),
    ):
        after = await set_target_state(ctx, agent.uuid, apps=apps, config=config)
        assert (after.version, after.etag) == (before.version, before.etag)


async def test_changes_beside_a_mask_keep_what_it_stands_for(ctx: Context, agent: Agent) -> None:
    config = shown(CONFIG)
    config["endpoints"].insert(0, {**ENDPOINT, "uuid": UUID.replace("6a", "6b"), "name": "new"})
    config["endpoints"][1]["connection"]["port"] = 503
    apps = shown(APPS)
    apps["7"]["services"].reverse()
    apps["7"]["services"][0]["config"]["environment"].insert(0, "C=d")
    state = await set_target_state(ctx, agent.uuid, apps=apps, config=config)
    found: Any = state.config["endpoints"]
    assert found[1] == ENDPOINT | {"connection": ENDPOINT["connection"] | {"port": 503}}
    services: Any = state.apps["7"]
    assert services["services"][0]["config"]["environment"] == ["C=d", "PASSWORD=hush-3", "A=b"]
    assert services["services"][1] == SERVICES[0]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"endpoints": [ENDPOINT | {"uuid": UUID.replace("6a", "6b")}]}, "connection.password"),
    ({"endpoints": [ENDPOINT | {"connection": {"hdr": "token=*** "}}]}, "connection.hdr"),
]


@pytest.mark.parametrize("put", [set_target_state, target_drafts.save_target_draft])
async def test_a_mask_that_stands_for_nothing_is_refused_with_its_path(
    ctx: Context, agent: Agent, put: Any
) -> None:
    for config, field in WRONG:
        with pytest.raises(InvalidInput) as refused:
            await put(ctx, agent.uuid, apps=APPS, config=shown(config))
        assert refused.value.facts["field"] == f"config.endpoints[0].{field}"
    with pytest.raises(InvalidInput) as refused:
        await put(ctx, agent.uuid, apps={"8": shown(APPS["7"]) | {"appId": 8}}, config=CONFIG)
    path = "apps.8.services[0].config.environment.DB_PASSWORD"
    assert refused.value.facts["field"] == path
    state = await get_target_state(ctx, agent.uuid)
    assert (state.version, state.has_draft) == (2, False)


async def test_a_draft_made_of_what_was_shown_has_the_secrets(ctx: Context, agent: Agent) -> None:
    await target_drafts.save_target_draft(ctx, agent.uuid, apps=shown(APPS), config=shown(CONFIG))
    state = await get_target_state(ctx, agent.uuid)
    assert (state.draft_apps, state.draft_config) == (APPS, CONFIG)
    other = {
        "endpoints": [ENDPOINT | {"connection": ENDPOINT["connection"] | {"password": "hush-7"}}]
    }
    await target_drafts.save_target_draft(ctx, agent.uuid, apps={}, config=other)
    await target_drafts.save_target_draft(ctx, agent.uuid, apps={}, config=shown(other))
    assert (await get_target_state(ctx, agent.uuid)).draft_config == other
    # What the draft before does not have, the live document does.
    await target_drafts.save_target_draft(ctx, agent.uuid, apps=shown(APPS), config=CONFIG)
    assert (await get_target_state(ctx, agent.uuid)).draft_apps == APPS
    deployed = await target_drafts.deploy_target_draft(ctx, agent.uuid)
    assert (deployed.version, deployed.apps, deployed.config) == (2, APPS, CONFIG)


async def test_a_mask_that_was_stored_before_does_not_go_live(ctx: Context, agent: Agent) -> None:
    wrong = {"endpoints": [ENDPOINT | {"connection": {"hdr": "***"}}]}
    rows = TargetState.of(ctx.tenant_id, agent_id=agent.id)
    await rows.update(draft_apps={}, draft_config=wrong, draft_of=2, draft_at=ctx.clock.now())
    with pytest.raises(InvalidInput) as refused:
        await target_drafts.deploy_target_draft(ctx, agent.uuid)
    assert refused.value.facts["field"] == "config.endpoints[0].connection.hdr"
    await set_target_state(ctx, agent.uuid, apps={}, config={})
    await fetch(
        "update target_state_version set config = $2 where agent_id = $1 and version = 2",
        agent.id,
        orjson.dumps(wrong).decode(),
    )
    with pytest.raises(InvalidInput):
        await target_history.roll_back_target_state(ctx, agent.uuid, 2)
    assert (await get_target_state(ctx, agent.uuid)).config == {}


async def test_what_is_stored_already_stays_whatever_it_is(ctx: Context, agent: Agent) -> None:
    odd = {"note": ["*** PASSWORD=hush", "PASSWORD=***", "PASSWORD=hush"]}
    await TargetState.of(ctx.tenant_id, agent_id=agent.id).update(config=odd)
    state = await target_apps.remove_app(ctx, agent.uuid, 7)
    assert state.config == odd
    assert (await set_target_state(ctx, agent.uuid, apps={}, config=odd)).version == state.version


@pytest.mark.parametrize("put", [target_apps.set_app, target_apps.update_app])
async def test_an_app_sent_back_as_it_was_shown_keeps_its_secrets(
    ctx: Context, agent: Agent, put: Any
) -> None:
    services = shown(APPS["7"])["services"]
    first = await put(ctx, agent.uuid, 7, name=None, services=services)
    found: Any = first.apps["7"]
    for kept, before in zip(found["services"], SERVICES, strict=True):
        assert kept["config"] == before["config"]
    environment = {"DB_PASSWORD": "***", "MODE": "b"}
    web = {"serviceName": "web", "image": "nginx:1.28", "environment": environment}
    changed = await put(ctx, agent.uuid, 7, name=None, services=[web])
    (service,) = changed.apps["7"]["services"]
    assert service["config"]["environment"] == {"DB_PASSWORD": "hush-1", "MODE": "b"}
    with pytest.raises(InvalidInput) as refused:
        await put(ctx, agent.uuid, 7, name=None, services=[{"serviceName": "x", "image": "***"}])
    assert str(refused.value.facts["field"]).startswith("apps.7.services[0].")


async def test_a_new_app_has_no_secrets_to_stand_for(ctx: Context, agent: Agent) -> None:
    services = shown(APPS["7"])["services"]
    with pytest.raises(InvalidInput) as refused:
        await target_apps.add_app(ctx, agent.uuid, 8, name=None, services=services)
    path = "apps.8.services[0].config.environment.DB_PASSWORD"
    assert refused.value.facts["field"] == path
    with pytest.raises(InvalidInput):
        await target_apps.set_service_image(ctx, agent.uuid, 7, "web", "***")
    assert (await target_states.get_target_state(ctx, agent.uuid)).apps == APPS
