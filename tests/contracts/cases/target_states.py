"""Target states: documents, drafts, versions, apps."""

from __future__ import annotations

from typing import Any

from tests.contracts.cases.world import Case, World, nothing

SERVICES = [{"serviceName": "web", "image": "nginx:1.27"}]


def _app(world: World) -> dict[str, str]:
    return {"uuid": str(world.agent.uuid), "appId": "7"}


def _version(world: World) -> dict[str, Any]:
    return {"uuid": str(world.agent.uuid), "version": 2}


CASES: dict[str, Case] = {
    **dict.fromkeys(
        (
            *("GetTargetState", "GetTargetDraft", "PollTargetState", "ListTargetVersions"),
            *("ListApps", "CancelTargetDraft", "ClearTargetState"),
        ),
        nothing,
    ),
    "GetTargetVersion": lambda world: {"path": _version(world)},
    "CreateTargetState": lambda _: {"json": {"apps": {}}, "params": {"draft": "true"}},
    "DeployTargetState": lambda _: {"json": {}},
    "ReplaceTargetState": lambda _: {"json": {"apps": {}}, "params": {"draft": "true"}},
    "RollbackTargetState": lambda _: {"json": {"version": 2}},
    "AddApp": lambda _: {"json": {"appId": 7, "services": SERVICES}},
    "ReplaceApp": lambda world: {"json": {"services": []}, "path": _app(world)},
    "UpdateApp": lambda world: {"json": {"appName": "hmi"}, "path": _app(world)},
    "RemoveApp": lambda world: {"path": _app(world)},
}

ORDER = (
    *("CreateTargetState", "DeployTargetState", "ReplaceTargetState", "CancelTargetDraft"),
    *("AddApp", "ReplaceApp", "UpdateApp", "RemoveApp"),
)
