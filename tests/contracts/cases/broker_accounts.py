"""Accounts on the broker and ACL lines, at the paths of both older APIs."""

from __future__ import annotations

from typing import Any

from core.mqtt_topics import encode_id
from models.mqtt_accounts import MqttAccount
from models.tenants import get_tenant
from resolvers.broker_accounts import AccountChanges, AccountKey, create_account
from resolvers.broker_roles import LineOwner, create_line
from tests.contracts.cases.world import Case, World, nothing


async def _account(world: World) -> MqttAccount:
    """Make an account: an operation with two paths is called twice."""
    name = f"one-{world.ctx.ids.secret_hex(4)}"
    return (await create_account(world.ctx, name, AccountChanges())).row


async def _topic(world: World) -> str:
    return f"i/{encode_id(str((await get_tenant(world.ctx.tenant_id)).uuid))}/x"


async def _id(world: World) -> dict[str, Any]:
    return {"path": {"id": str((await _account(world)).id)}}


async def _name(world: World) -> dict[str, Any]:
    return {"path": {"username": (await _account(world)).username}}


async def _line(world: World) -> dict[str, Any]:
    owner = LineOwner(AccountKey((await _account(world)).id))
    line = await create_line(world.ctx, owner, await _topic(world), 1)
    return {"path": {"id": str(line.id)}}


def _new(world: World) -> dict[str, Any]:
    return {"json": {"username": f"new-{world.ctx.ids.secret_hex(4)}"}}


async def _changed(world: World) -> dict[str, Any]:
    return {**await _id(world), "json": {"is_active": False}}


async def _changed_by_name(world: World) -> dict[str, Any]:
    return {**await _name(world), "json": {"password": "rivet lamp shed"}}


async def _new_line(world: World) -> dict[str, Any]:
    line = {"topic": await _topic(world), "access": 3, "priority": 1}
    return {**await _id(world), "json": line}


async def _new_line_by_name(world: World) -> dict[str, Any]:
    line = {"topic": await _topic(world), "access": 3}
    return {"json": {**(await _name(world))["path"], **line}}


async def _changed_line(world: World) -> dict[str, Any]:
    return {**await _line(world), "json": {"access": 3}}


CASES: dict[str, Case] = {
    "ListMqttUsers": nothing,
    "CreateMqttUser": _new,
    "UpdateMqttUser": _changed,
    "UpdateMqttUserByName": _changed_by_name,
    "DeleteMqttUser": _id,
    "DeleteMqttUserByName": _name,
    "ListMqttAcls": nothing,
    "CreateMqttAcl": _new_line,
    "CreateMqttAclByName": _new_line_by_name,
    "UpdateMqttAcl": _changed_line,
    "DeleteMqttAcl": _line,
}

ORDER = ()
