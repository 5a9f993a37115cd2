from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.context import Context
from core.errors import Conflict, InvalidInput, NotFound, PreconditionFailed
from core.policy import Policy
from core.target_diff import Change
from models.agents import Agent, lock_agent
from models.target_states import TargetState
from models.unit_of_work import unit_of_work
from resolvers import api_keys, target_drafts, target_history, target_states
from resolvers.target_changes import Document, change_target_state
from tests.factories import make_agent, make_tenant, make_user
from tests.resolvers.edge import as_agent, provision, system

APPS = {"7": {"appId": 7, "appName": "hmi", "services": []}}


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def put(ctx: Context, agent: Agent, n: int, **changes: Any) -> TargetState:
    values: dict[str, Any] = {"apps": {}, "config": {"n": n}}
    return await target_states.set_target_state(ctx, agent.uuid, **(values | changes))


async def versions(ctx: Context, agent: Agent, **page: Any) -> list[int]:
    found = await target_history.list_target_versions(
        ctx, agent.uuid, page.get("first", 50), page.get("after")
    )
    return [each.version for each in found.items]


async def poll(ctx: Context, agent: Agent) -> dict[str, Any]:
    state = await target_states.poll_target_state(as_agent(ctx, agent), agent.uuid)
    found: dict[str, Any] = state.document[str(agent.uuid)]
    return found


class TestVersions:
    async def test_each_change_is_kept_with_author_time_and_comment(
        self, ctx: Context, agent: Agent
    ) -> None:
        user = await make_user(ctx)
        ada = ctx.acting_as(replace(ctx.caller, user_id=user.id))
        state = await put(ada, agent, 1, comment="night shift")
        (version,) = (await target_history.list_target_versions(ctx, agent.uuid, 10, None)).items
        assert (version.version, version.author, version.comment) == (
            2,
            user.username,
            "night shift",
        )
        assert (version.created_at, version.created_by) == (state.updated_at, user.id)
        assert (version.apps, version.config, version.etag) == ({}, {"n": 1}, state.etag)

    async def test_tells_api_keys_agents_and_the_system_apart(
        self, ctx: Context, agent: Agent
    ) -> None:
        user = await make_user(ctx)
        ada = ctx.acting_as(replace(ctx.caller, user_id=user.id))
        key = await api_keys.create_api_key(ada, name="deployer", scopes=["device:write"])
        program = ctx.acting_as(replace(ada.caller, api_key_id=key.id))
        of_tenant = system(ctx).acting_as(replace(system(ctx).caller, tenant_id=ctx.tenant_id))
        for n, caller in enumerate((program, as_agent(ctx, agent), of_tenant)):
            async with unit_of_work(caller) as work:
                row = await lock_agent(ctx.tenant_id, agent.uuid)
                document = Document({}, {"n": n})
                await change_target_state(caller, work, row, lambda _, d=document: d)  # type: ignore[misc]  # a default
        found = await target_history.list_target_versions(ctx, agent.uuid, 10, None)
        assert [each.author for each in found.items] == [
            "system",
            "agent",
            f"{user.username} with API key deployer",
        ]

    async def test_starts_with_what_registration_gave(self, ctx: Context) -> None:
        _, agent = await provision(ctx)
        await put(ctx, agent, 1)
        found = await target_history.list_target_versions(ctx, agent.uuid, 10, None)
        assert [(each.version, each.author) for each in found.items][-1] == (1, "system")
        diff = target_history.diff_of_version(found.items[0])
        assert diff is not None
        assert "/config/endpoints" in {change.path for change in diff.changes}

    async def test_pages_from_the_newest_on(self, ctx: Context, agent: Agent) -> None:
        for n in range(5):
            await put(ctx, agent, n)
        seen: list[int] = []
        after = None
        for _ in range(3):
            page = await target_history.list_target_versions(ctx, agent.uuid, 2, after)
            seen += [each.version for each in page.items]
            after = page.cursors[-1]
        assert seen == [6, 5, 4, 3, 2]
        assert not page.has_next
        with pytest.raises(InvalidInput):
            await versions(ctx, agent, after="nonsense")

    async def test_keeps_the_newest_and_never_less_than_the_current(
        self, ctx: Context, agent: Agent
    ) -> None:
        few = replace(ctx, policy=Policy(target_state_versions=3))
        for n in range(6):
            await put(few, agent, n)
        assert await versions(ctx, agent) == [7, 6, 5]
        for gone in (4, 1, 0, -1, 8, 2**40):
            with pytest.raises(NotFound):
                await target_history.get_target_version(ctx, agent.uuid, gone)
        oldest = await target_history.get_target_version(ctx, agent.uuid, 5)
        assert target_history.diff_of_version(oldest) is None

    async def test_tells_what_changed_against_the_version_before(
        self, ctx: Context, agent: Agent
    ) -> None:
        await put(ctx, agent, 1, apps=APPS)
        await put(ctx, agent, 2)
        first = target_history.diff_of_version(
            await target_history.get_target_version(ctx, agent.uuid, 2)
        )
        second = target_history.diff_of_version(
            await target_history.get_target_version(ctx, agent.uuid, 3)
        )
        assert first is not None
        assert second is not None
        assert first.changes == [
            Change("/apps/7", "add", after=APPS["7"]),
            Change("/config/n", "add", after=1),
        ]
        assert second.changes == [
            Change("/apps/7", "remove", APPS["7"]),
            Change("/config/n", "replace", 1, 2),
        ]


class TestRollback:
    async def test_makes_a_new_version_of_the_old_document(
        self, ctx: Context, agent: Agent
    ) -> None:
        old = await put(ctx, agent, 1, apps=APPS)
        await put(ctx, agent, 2)
        state = await target_history.roll_back_target_state(ctx, agent.uuid, 2, if_version=3)
        assert (state.version, state.apps, state.etag) == (4, APPS, old.etag)
        newest = await target_history.get_target_version(ctx, agent.uuid, 4)
        assert newest.comment == "rollback to version 2"
        assert (await poll(ctx, agent))["apps"] == APPS

    async def test_starts_no_update_of_the_agent(self, ctx: Context, agent: Agent) -> None:
        for version in ("1.0.1", "1.0.2"):
            async with unit_of_work(ctx) as work:
                row = await lock_agent(ctx.tenant_id, agent.uuid)
                document = Document({}, {"agent": {"version": version}})
                await change_target_state(ctx, work, row, lambda _, d=document: d)  # type: ignore[misc]  # a default
        state = await target_history.roll_back_target_state(ctx, agent.uuid, 2)
        assert state.config == {"agent": {"version": "1.0.2"}}
        with pytest.raises(InvalidInput, match="requestAgentUpdate"):
            await put(ctx, agent, 1, config={"agent": {"version": "1.0.3"}})

    async def test_refuses_versions_that_are_gone_or_not_expected(
        self, ctx: Context, agent: Agent
    ) -> None:
        await put(ctx, agent, 1)
        with pytest.raises(NotFound):
            await target_history.roll_back_target_state(ctx, agent.uuid, 1)
        with pytest.raises(PreconditionFailed):
            await target_history.roll_back_target_state(ctx, agent.uuid, 2, if_version=1)


class TestDrafts:
    async def test_the_agent_does_not_see_a_draft(self, ctx: Context, agent: Agent) -> None:
        live = await put(ctx, agent, 1)
        draft = await target_drafts.save_target_draft(ctx, agent.uuid, apps=APPS, config=None)
        assert (draft.version, draft.has_draft, draft.draft_of) == (2, True, 2)
        assert (draft.draft_by, draft.etag) == (ctx.caller.user_id, live.etag)
        polled = await poll(ctx, agent)
        assert (polled["apps"], polled["version"], polled["needs_deployment"]) == ({}, 2, False)
        assert await versions(ctx, agent) == [2]

    async def test_deploying_makes_it_live(self, ctx: Context, agent: Agent) -> None:
        await target_drafts.save_target_draft(ctx, agent.uuid, apps=APPS, config={"a": 1})
        state = await target_drafts.deploy_target_draft(ctx, agent.uuid, comment="by me")
        assert (state.version, state.apps, state.has_draft) == (2, APPS, False)
        again = await target_states.get_target_state(ctx, agent.uuid)
        assert (again.config, again.draft_apps, again.draft_at) == ({"a": 1}, None, None)
        assert (await poll(ctx, agent))["apps"] == APPS
        assert (await target_history.get_target_version(ctx, agent.uuid, 2)).comment == "by me"
        with pytest.raises(Conflict) as caught:
            await target_drafts.deploy_target_draft(ctx, agent.uuid)
        assert caught.value.facts == {"pending": False, "version": 2}

    async def test_a_draft_of_an_older_version_needs_a_decision(
        self, ctx: Context, agent: Agent
    ) -> None:
        await target_drafts.save_target_draft(ctx, agent.uuid, apps=APPS, config=None)
        await put(ctx, agent, 1)
        with pytest.raises(Conflict) as caught:
            await target_drafts.deploy_target_draft(ctx, agent.uuid)
        assert caught.value.facts == {"draft_of": 1, "version": 2}
        with pytest.raises(PreconditionFailed):
            await target_drafts.deploy_target_draft(ctx, agent.uuid, if_version=1, override=True)
        assert (await poll(ctx, agent))["config"] == {"n": 1}
        state = await target_drafts.deploy_target_draft(ctx, agent.uuid, override=True)
        assert (state.version, state.apps, state.config) == (3, APPS, {})

    async def test_a_cancelled_draft_is_never_published(self, ctx: Context, agent: Agent) -> None:
        await put(ctx, agent, 1)
        await target_drafts.save_target_draft(ctx, agent.uuid, apps=APPS, config=None)
        state = await target_drafts.cancel_target_draft(ctx, agent.uuid)
        assert (state.has_draft, state.config) == (False, {"n": 1})
        with pytest.raises(Conflict):
            await target_drafts.cancel_target_draft(ctx, agent.uuid)
        assert (await poll(ctx, agent))["apps"] == {}

    async def test_a_draft_is_checked_like_a_live_document(
        self, ctx: Context, agent: Agent
    ) -> None:
        with pytest.raises(InvalidInput):
            await target_drafts.save_target_draft(ctx, agent.uuid, apps={"x": {}}, config=None)
        config = {"agent": {"version": "9.9.9"}}
        with pytest.raises(InvalidInput, match="requestAgentUpdate"):
            await target_drafts.save_target_draft(ctx, agent.uuid, apps={}, config=config)
        with pytest.raises(PreconditionFailed):
            await target_drafts.save_target_draft(
                ctx, agent.uuid, apps={}, config=None, if_version=7
            )

    async def test_of_five_deployments_at_once_one_wins(self, ctx: Context, agent: Agent) -> None:
        await target_drafts.save_target_draft(ctx, agent.uuid, apps=APPS, config=None)
        answers = await asyncio.gather(
            *(target_drafts.deploy_target_draft(ctx, agent.uuid) for _ in range(5)),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, Conflict) for answer in answers) == 4
        assert await versions(ctx, agent) == [2]


async def test_another_tenants_agent_is_not_found(ctx: Context, agent: Agent) -> None:
    await put(ctx, agent, 1)
    other = await make_tenant(ctx.clock, ctx.ids)
    stranger = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
    for ask in (
        target_history.list_target_versions(stranger, agent.uuid, 1, None),
        target_history.get_target_version(stranger, agent.uuid, 2),
        target_history.roll_back_target_state(stranger, agent.uuid, 2),
        target_drafts.save_target_draft(stranger, agent.uuid, apps={}, config=None),
        target_drafts.deploy_target_draft(stranger, agent.uuid),
        target_drafts.cancel_target_draft(stranger, agent.uuid),
    ):
        with pytest.raises(NotFound):
            await ask
