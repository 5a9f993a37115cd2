"""Target states over REST: documents, drafts, versions and apps, with statuses and titles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from core.context import Context
from models.agents import Agent
from tests.contracts.serving import Api, give_key, sign_in
from tests.factories import make_agent

APPS = {"7": {"appId": 7, "appName": "hmi", "services": []}}
WEB = {"serviceName": "web", "image": "nginx:1.27"}


class Operator:
    """A person who looks after one agent."""

    def __init__(self, client: httpx.AsyncClient, agent: Agent) -> None:
        self._client = client
        self.agent = agent

    async def __call__(self, method: str, path: str, **sent: Any) -> httpx.Response:
        url = f"/api/v1/agents/{self.agent.uuid}/{path}"
        return await self._client.request(method, url, **sent)


@pytest.fixture
async def call(ctx: Context) -> AsyncIterator[Operator]:
    _, token = await sign_in(ctx)
    async with Api(ctx).client(authorization=token) as client:
        yield Operator(client, await make_agent(ctx))


async def test_the_etag_is_the_version_and_guards_every_change(call: Operator) -> None:
    first = await call("PUT", "target-state", json={"apps": {}, "config": {"n": 1}})
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    assert (await call("GET", "target-state")).headers["etag"] == '"2"'
    stale, current = {"if-match": '"1"'}, {"if-match": '"2"'}
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", "target-state", {"json": {"apps": APPS}}),
        ("DELETE", "target-state", {}),
        ("PUT", "apps/7", {"json": {"services": []}}),
    ]
    for method, path, sent in changes:
        refused = await call(method, path, headers=stale, **sent)
        assert (refused.status_code, refused.json()["facts"]) == (412, {"version": 2})
    same = await call("PUT", "target-state", json={"apps": {}, "config": {"n": 1}}, headers=current)
    assert (same.status_code, same.json()["version"], same.headers["etag"]) == (200, 2, '"2"')
    added = await call("PUT", "apps/7", json={"services": []}, headers=current)
    assert (added.status_code, added.headers["etag"]) == (200, '"3"')
    for method, path, sent in (("PATCH", "apps/7", {"json": {}}), ("DELETE", "apps/7", {})):
        assert (await call(method, path, headers=current, **sent)).status_code == 412
    cleared = await call("DELETE", "target-state", headers={"if-match": '"3"'})
    assert (cleared.status_code, cleared.headers["etag"]) == (200, '"4"')


async def test_tells_all_that_is_wrong_at_once(call: Operator) -> None:
    config = {
        "logging": {"level": "loud"},
        "endpoints": [{"name": "a", "protocol": "modbus", "connection": "{}"}],
    }
    for method in ("POST", "PUT"):
        answer = await call(method, "target-state", json={"apps": {"x": {}}, "config": config})
        told = answer.json()
        assert (answer.status_code, told["error"]) == (400, "Invalid target state config")
        assert [error["field"] for error in told["errors"]] == [
            "apps.x",
            "config.logging.level",
            "config.endpoints[0].uuid",
            "config.endpoints[0].connection",
        ]
        assert told["errors"][1]["value"] == "loud"
        assert all(set(error) == {"field", "message", "value"} for error in told["errors"])
    wrong = await call("POST", "target-state", json={"apps": [{"appId": "1"}]})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "Invalid apps format")
    missing = await call("POST", "target-state", json={})
    assert (missing.status_code, missing.json()["error"]) == (400, "Invalid request")
    large = await call("PUT", "target-state", json={"apps": {}, "config": {"t": "x" * 262_144}})
    assert large.status_code == 413
    assert "262144 bytes" in large.json()["message"]


async def test_an_empty_list_of_endpoints_shows_what_becomes_of_it(call: Operator) -> None:
    answer = await call("PUT", "target-state", json={"apps": {}, "config": {"endpoints": []}})
    assert any("keeps all endpoints" in text for text in answer.json()["consequences"])
    cleared = await call("DELETE", "target-state")
    assert any("keeps all endpoints" in text for text in cleared.json()["consequences"])


async def test_only_a_draft_that_was_asked_for_waits(ctx: Context, call: Operator) -> None:
    nothing = await call("POST", "deploy", json={})
    assert nothing.status_code == 400
    assert {key: nothing.json()[key] for key in ("error", "version")} == {
        "error": "Nothing to deploy",
        "version": 1,
    }
    live = await call("PUT", "target-state", json={"apps": {}, "config": {"n": 1}})
    assert (live.json()["needs_deployment"], "draft" in live.json()) == (False, False)
    kept = (await call("PUT", "target-state?draft=true", json={"apps": APPS})).json()
    assert (kept["needs_deployment"], kept["version"], kept["config"]) == (True, 2, {"n": 1})
    assert (kept["draft"]["apps"], kept["draft"]["of_version"]) == (APPS, 2)
    assert (await call("GET", "target-state")).json()["needs_deployment"] is True
    assert (await call("GET", "target-state/draft")).json()["draft"]["apps"] == APPS
    async with Api(ctx).client(**{"x-device-api-key": await give_key(ctx, call.agent)}) as client:
        polled = (await client.get(f"/api/v1/device/{call.agent.uuid}/state")).json()
    inner = polled[str(call.agent.uuid)]
    assert (inner["apps"], inner["needs_deployment"]) == ({}, False)
    deployed = (await call("POST", "deploy", json={"deployedBy": "Ada"})).json()
    assert deployed.pop("message")
    assert deployed.pop("deployedAt")
    assert deployed == {
        "status": "ok",
        "deviceUuid": str(call.agent.uuid),
        "version": 3,
        "deployedBy": "Ada",
        "appsCount": 1,
    }
    assert (await call("GET", "target-state/draft")).json()["draft"] is None


async def test_a_draft_that_is_out_of_date_is_deployed_only_on_purpose(call: Operator) -> None:
    await call("PUT", "target-state?draft=true", json={"apps": APPS})
    await call("PUT", "target-state", json={"apps": {}, "config": {"n": 1}})
    refused = await call("POST", "deploy", json={})
    assert (refused.status_code, refused.json()["error"]) == (409, "Draft is out of date")
    deployed = await call("POST", "deploy", json={"override": True})
    assert (deployed.status_code, deployed.json()["deployedBy"]) == (200, "dashboard")
    await call("POST", "target-state?draft=true", json={"apps": {}})
    cancelled = (await call("POST", "deploy/cancel", json={})).json()
    assert cancelled.pop("message")
    assert cancelled == {"status": "ok", "deviceUuid": str(call.agent.uuid), "version": 3}
    nothing = await call("POST", "deploy/cancel", json={})
    assert (nothing.status_code, nothing.json()["error"]) == (400, "Nothing to cancel")


async def test_every_version_can_be_looked_at_and_brought_back(call: Operator) -> None:
    for n in range(3):
        await call("PUT", "target-state", json={"apps": APPS if n == 0 else {}, "config": {"n": n}})
    page = (await call("GET", "target-state/history?limit=2")).json()
    assert (page["count"], [each["version"] for each in page["versions"]]) == (2, [4, 3])
    assert page["versions"][0]["diff"] == {
        "changes": [{"path": "/config/n", "op": "replace", "before": 1, "after": 2}],
        "is_complete": True,
    }
    rest = await call(
        "GET", f"target-state/history?limit=2&after={page['pagination']['endCursor']}"
    )
    assert [each["version"] for each in rest.json()["versions"]] == [2]
    old = (await call("GET", "target-state/history/2")).json()
    assert (old["apps"], old["config"]) == (APPS, {"n": 0})
    assert (await call("GET", "target-state/history/9")).status_code == 404
    back = await call("POST", "target-state/rollback", json={"version": 2})
    assert (back.status_code, back.json()["version"], back.json()["apps"]) == (200, 5, APPS)
    assert (await call("POST", "target-state/rollback", json={"version": 1})).status_code == 404


async def test_apps_are_edited_one_by_one(call: Operator) -> None:
    added = await call("POST", "apps", json={"appId": 7, "appName": "hmi", "services": [WEB]})
    told = added.json()
    assert (added.status_code, told["status"], told["deviceUuid"]) == (
        201,
        "ok",
        str(call.agent.uuid),
    )
    assert (told["appId"], told["appName"], told["services"][0]["serviceName"]) == (7, "hmi", "web")
    twice = await call("POST", "apps", json={"appId": 7, "services": []})
    assert (twice.status_code, twice.json()["error"]) == (409, "Conflict")
    renamed = await call("PATCH", "apps/7", json={"appName": "panel"})
    assert (renamed.json()["appName"], len(renamed.json()["services"])) == ("panel", 1)
    listed = (await call("GET", "apps")).json()
    assert (listed["count"], listed["apps"]["7"]["appName"]) == (1, "panel")
    removed = await call("DELETE", "apps/7")
    assert (removed.status_code, removed.json()["status"]) == (200, "ok")
    gone = await call("DELETE", "apps/7")
    assert (gone.status_code, gone.json()["error"]) == (404, "Not found")
    wrongs: list[dict[str, Any]] = [{"services": []}, {"appId": "7", "services": []}, {"appId": 7}]
    for body in wrongs:
        wrong = await call("POST", "apps", json=body)
        assert (wrong.status_code, wrong.json()["error"]) == (400, "Invalid request")


async def test_a_viewer_looks_and_changes_nothing(ctx: Context, call: Operator) -> None:
    _, token = await sign_in(ctx, role="viewer")
    async with Api(ctx).client(authorization=token) as client:
        viewer = Operator(client, call.agent)
        for path in ("target-state", "target-state/draft", "target-state/history", "apps"):
            assert (await viewer("GET", path)).status_code == 200, path
        for method, path, body in (
            ("PUT", "target-state?draft=true", {"apps": {}}),
            ("POST", "deploy", {}),
            ("POST", "deploy/cancel", {}),
            ("POST", "target-state/rollback", {"version": 1}),
            ("POST", "apps", {"appId": 1, "services": []}),
        ):
            assert (await viewer(method, path, json=body)).status_code == 403, path
