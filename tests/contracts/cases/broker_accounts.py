"""Accounts on the broker and ACL lines, at the paths of both older APIs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.mqtt_topics import encode_id
from models.tenants import get_tenant
from tests.contracts.cases.world import Case, World, nothing


def _user(world: World) -> dict[str, Any]:
    return {"path": {"id": str(world.answered["CreateMqttUser"]["user"]["id"])}}


def _name(world: World) -> dict[str, Any]:
    return {"path": {"username": world.answered["CreateMqttUser2"]["user"]["username"]}}


def _line(number: str) -> Callable[[World], dict[str, Any]]:
    return lambda world: {"path": {"id": str(world.answered[number]["acl"]["id"])}}


async def _new_line(world: World) -> dict[str, Any]:
    tenant = await get_tenant(world.ctx.tenant_id)
    return {"topic": f"i/{encode_id(str(tenant.uuid))}/x", "access": 3, "priority": 1}


async def _of_user(world: World) -> dict[str, Any]:
    return {**_user(world), "json": await _new_line(world)}


async def _of_name(world: World) -> dict[str, Any]:
    return {"json": {**_name(world)["path"], **await _new_line(world)}}


CASES: dict[str, Case] = {
    "ListMqttUsers": nothing,
    "CreateMqttUser": lambda world: {
        "json": {"username": f"one-{world.ctx.ids.secret_hex(4)}", "password": "bolt turret lamp"}
    },
    "CreateMqttUser2": lambda world: {"json": {"username": f"two-{world.ctx.ids.secret_hex(4)}"}},
    "UpdateMqttUser": lambda world: {**_user(world), "json": {"is_active": False}},
    "UpdateMqttUserByName": lambda world: {**_name(world), "json": {"password": "rivet lamp shed"}},
    "DeleteMqttUser": _user,
    "DeleteMqttUserByName": _name,
    "ListMqttAcls": nothing,
    "CreateMqttAcl": _of_user,
    "CreateMqttAclByName": _of_name,
    "UpdateMqttAcl": lambda world: {**_line("CreateMqttAcl")(world), "json": {"access": 1}},
    "UpdateMqttAcl2": lambda world: {
        **_line("CreateMqttAclByName")(world),
        "json": {"priority": 2},
    },
    "DeleteMqttAcl": _line("CreateMqttAcl"),
    "DeleteMqttAcl2": _line("CreateMqttAclByName"),
}

ORDER = (
    *("CreateMqttUser", "CreateMqttUser2", "CreateMqttAcl", "CreateMqttAclByName"),
    *("UpdateMqttAcl", "UpdateMqttAcl2", "DeleteMqttAcl", "DeleteMqttAcl2"),
    *("UpdateMqttUser", "UpdateMqttUserByName", "DeleteMqttUser", "DeleteMqttUserByName"),
)
