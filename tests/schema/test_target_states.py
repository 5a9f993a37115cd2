from __future__ import annotations

import pytest

from core.callers import Role
from core.context import Context
from tests.factories import make_agent
from tests.schema.asking import as_agent, as_role, ask, refusal

SET = """mutation($u: UUID!, $apps: JSON!, $config: JSON, $if: Int) {
  setTargetState(agentUuid: $u, apps: $apps, config: $config, ifVersion: $if) {
    agentUuid version apps config etag needsDeployment updatedBy
  }
}"""
CLEAR = "mutation($u: UUID!) { clearTargetState(agentUuid: $u) { version apps config } }"
GET = "query($u: UUID!) { targetState(agentUuid: $u) { agentUuid version apps config etag } }"
POLL = "query($u: UUID!) { deviceState(agentUuid: $u) { etag document } }"
REPORT = "mutation($r: JSON!) { reportState(report: $r) { accepted } }"
LOGS = """mutation($u: UUID!, $b: Bytes!, $id: String) {
  uploadDeviceLogs(agentUuid: $u, body: $b, batchId: $id) {
    batchId accepted duplicate received skipped
  }
}"""
APPS = {"1001": {"appId": 1001, "appName": "hmi", "services": []}}


async def test_what_an_operator_sets_is_what_the_agent_polls(ctx: Context) -> None:
    agent = await make_agent(ctx)
    uuid = str(agent.uuid)
    was_set = (await ask(ctx, SET, u=uuid, apps=APPS, config={"logging": {"level": "info"}}))[
        "setTargetState"
    ]
    assert (was_set["agentUuid"], was_set["version"], was_set["apps"]) == (uuid, 2, APPS)
    assert was_set["updatedBy"] == str(ctx.caller.user_id)
    polled = (await ask(as_agent(ctx, agent), POLL, u=uuid))["deviceState"]
    assert polled["etag"] == was_set["etag"]
    assert polled["document"][uuid]["apps"] == APPS
    assert polled["document"][uuid]["version"] == 2
    cleared = (await ask(ctx, CLEAR, u=uuid))["clearTargetState"]
    assert cleared == {"version": 3, "apps": {}, "config": {}}


async def test_refuses_to_overwrite_a_version_that_was_not_seen(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await ask(ctx, SET, u=str(agent.uuid), apps=APPS)
    error = await refusal(ctx, SET, u=str(agent.uuid), apps={}, **{"if": 1})
    assert error["extensions"] == {"code": "PRECONDITION_FAILED", "version": 2}
    assert (await ask(ctx, GET, u=str(agent.uuid)))["targetState"]["apps"] == APPS


async def test_all_that_is_wrong_is_told_as_an_extension(ctx: Context) -> None:
    agent = await make_agent(ctx)
    config = {"logging": {"level": "loud"}, "features": {"enableDeviceJobs": "yes"}}
    error = await refusal(ctx, SET, u=str(agent.uuid), apps={}, config=config)
    assert error["extensions"]["code"] == "INVALID_INPUT"
    assert [(each["field"], each["value"]) for each in error["extensions"]["errors"]] == [
        ("config.logging.level", "loud"),
        ("config.features.enableDeviceJobs", "yes"),
    ]


async def test_a_draft_goes_live_when_it_is_deployed(ctx: Context) -> None:
    agent = await make_agent(ctx)
    uuid = str(agent.uuid)
    save = """mutation($u: UUID!, $apps: JSON!) { setTargetState(agentUuid: $u, apps: $apps, draft: true) {
      version apps needsDeployment lastDeployedAt draft { apps ofVersion savedBy } consequences } }"""
    saved = (await ask(ctx, save, u=uuid, apps=APPS))["setTargetState"]
    assert (saved["version"], saved["apps"], saved["needsDeployment"]) == (1, {}, True)
    assert saved["draft"] == {"apps": APPS, "ofVersion": 1, "savedBy": str(ctx.caller.user_id)}
    assert len(saved["consequences"]) == 2
    deploy = """mutation($u: UUID!) { deployTargetState(agentUuid: $u, comment: "go") {
      version comment appsCount targetState { apps needsDeployment } } }"""
    assert (await ask(ctx, deploy, u=uuid))["deployTargetState"] == {
        "version": 2,
        "comment": "go",
        "appsCount": 1,
        "targetState": {"apps": APPS, "needsDeployment": False},
    }
    error = await refusal(ctx, deploy, u=uuid)
    assert error["extensions"] == {"code": "CONFLICT", "pending": False, "version": 2}


async def test_history_tells_what_changed_and_goes_back(ctx: Context) -> None:
    agent = await make_agent(ctx)
    uuid = str(agent.uuid)
    for level in ("info", "debug"):
        await ask(ctx, SET, u=uuid, apps={}, config={"logging": {"level": level}})
    text = """query($u: UUID!) { targetStateVersions(agentUuid: $u, first: 1) {
      edges { node { version diff { changes { path op before after } isComplete } } }
      pageInfo { hasNextPage } } targetStateVersion(agentUuid: $u, version: 2) { config } }"""
    found = await ask(ctx, text, u=uuid)
    change = {"path": "/config/logging/level", "op": "replace", "before": "info", "after": "debug"}
    assert found["targetStateVersions"] == {
        "edges": [{"node": {"version": 3, "diff": {"changes": [change], "isComplete": True}}}],
        "pageInfo": {"hasNextPage": True},
    }
    assert found["targetStateVersion"]["config"] == {"logging": {"level": "info"}}
    back = (
        "mutation($u: UUID!) { rollbackTargetState(agentUuid: $u, version: 2) { version config } }"
    )
    assert (await ask(ctx, back, u=uuid))["rollbackTargetState"] == {
        "version": 4,
        "config": {"logging": {"level": "info"}},
    }


async def test_apps_are_edited_one_by_one(ctx: Context) -> None:
    agent = await make_agent(ctx)
    service = [{"serviceName": "web", "image": "nginx:1.27"}]
    text = """mutation($u: UUID!, $s: JSON) {
      addApp(agentUuid: $u, appId: 7, appName: "hmi", services: $s) { version appId appName }
      setServiceImage(agentUuid: $u, appId: 7, serviceName: "web", image: "nginx:1.28") { services }
      updateApp(agentUuid: $u, appId: 7, appName: "b") { appName }
      setApp(agentUuid: $u, appId: 8) { appName services }
      removeApp(agentUuid: $u, appId: 7) { appName services targetState { apps appsCount } }
    }"""
    done = await ask(ctx, text, u=str(agent.uuid), s=service)
    assert done["addApp"] == {"version": 2, "appId": 7, "appName": "hmi"}
    assert done["setServiceImage"]["services"][0]["imageName"] == "nginx:1.28"
    assert done["updateApp"]["appName"] == "b"
    assert done["setApp"] == {"appName": "app-8", "services": []}
    assert (done["removeApp"]["appName"], done["removeApp"]["services"]) == (None, None)
    assert done["removeApp"]["targetState"]["appsCount"] == 1


async def test_a_viewer_reads_and_does_not_write(ctx: Context) -> None:
    agent = await make_agent(ctx)
    viewer = as_role(ctx, Role.VIEWER)
    assert (await ask(viewer, GET, u=str(agent.uuid)))["targetState"]["version"] == 1
    error = await refusal(viewer, SET, u=str(agent.uuid), apps={})
    assert error["extensions"]["code"] == "FORBIDDEN"


async def test_an_agent_polls_only_for_itself(ctx: Context) -> None:
    agent, other = await make_agent(ctx), await make_agent(ctx)
    error = await refusal(as_agent(ctx, agent), POLL, u=str(other.uuid))
    assert error["extensions"]["code"] == "NOT_FOUND"
    error = await refusal(ctx, POLL, u=str(agent.uuid))
    assert error["extensions"]["code"] == "FORBIDDEN"


async def test_a_report_becomes_the_current_state(ctx: Context) -> None:
    agent = await make_agent(ctx)
    uuid = str(agent.uuid)
    text = "query($u: UUID!) { currentState(agentUuid: $u) { version apps reportedAt } }"
    assert (await ask(ctx, text, u=uuid))["currentState"] is None
    report = {uuid: {"apps": APPS, "is_online": True, "version": 2, "cpu_usage": 23}}
    receipt = await ask(as_agent(ctx, agent), REPORT, r=report)
    assert receipt["reportState"] == {"accepted": True}
    current = (await ask(ctx, text, u=uuid))["currentState"]
    assert (current["version"], current["apps"]) == (2, APPS)
    seen = await ask(ctx, "query($u: UUID!) { agent(uuid: $u) { isOnline cpuUsage } }", u=uuid)
    assert seen["agent"] == {"isOnline": True, "cpuUsage": 23.0}


async def test_a_batch_of_logs_counts_once(ctx: Context) -> None:
    agent = await make_agent(ctx)
    lines = '{"message":"one","level":"info"}\n{"message":"two"}\nnonsense\n'
    own = as_agent(ctx, agent)
    first = (await ask(own, LOGS, u=str(agent.uuid), b=lines, id="b-1"))["uploadDeviceLogs"]
    assert first["batchId"] == "b-1"
    assert (first["accepted"], first["duplicate"]) == (True, False)
    assert (first["received"], first["skipped"]) == (2, 1)
    again = (await ask(own, LOGS, u=str(agent.uuid), b=lines, id="b-1"))["uploadDeviceLogs"]
    assert (again["batchId"], again["duplicate"]) == ("b-1", True)


@pytest.mark.parametrize(
    ("literal", "place"),
    [("1e999", "a.n"), ("-1e999", "a.n"), ("9" * 30, "a.n"), ("[1e999]", "[0]")],
)
async def test_refuses_numbers_that_json_cannot_say(ctx: Context, literal: str, place: str) -> None:
    text = f'mutation {{ setTargetState(agentUuid: "%s", apps: {{a: {{n: {literal}}}}}) {{ version }} }}'
    error = await refusal(ctx, text % ctx.ids.uuid())
    assert error["extensions"]["code"] == "INVALID_INPUT"
    assert place in error["message"]
