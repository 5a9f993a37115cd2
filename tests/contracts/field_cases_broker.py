"""What the root fields about accounts on the broker are called with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contracts.world_of_two import Tenancy

Arguments = Callable[[Tenancy, Tenancy], dict[str, Any]]


def _nothing(_it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {}


def _account(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"account": {"id": it.broker.account_id, "username": it.mark}}


def _account_by_id(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"account": {"id": it.broker.account_id}}


def _account_by_name(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"account": {"username": it.mark}}


def _changed(it: Tenancy, me: Tenancy) -> dict[str, Any]:
    return {**_account(it, me), "values": {"description": "another"}}


def _role(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"name": it.mark}


def _line(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"id": it.broker.line_id}


def _new_line(owner: dict[str, Any], me: Tenancy) -> dict[str, Any]:
    return {"owner": owner, "topic": f"{me.broker.root}new", "access": 1}


BROKER_ACCOUNTS: dict[str, Arguments] = {
    "Query.mqttAccount": _account,
    "Query.mqttAccounts": _nothing,
    "Query.mqttRoles": _nothing,
    "Query.mqttAcl": _nothing,
    "Mutation.createMqttAccount": lambda it, _: {"username": f"new-{it.ctx.ids.secret_hex(4)}"},
    "Mutation.updateMqttAccount": _changed,
    "Mutation.deleteMqttAccount": _account,
    "Mutation.createMqttRole": lambda it, _: {"name": f"new {it.ctx.ids.secret_hex(4)}"},
    "Mutation.updateMqttRole": lambda it, me: {**_role(it, me), "description": "another"},
    "Mutation.deleteMqttRole": _role,
    "Mutation.createMqttAcl": lambda it, me: _new_line(_account(it, me), me),
    "Mutation.updateMqttAcl": lambda it, me: {**_line(it, me), "access": 3},
    "Mutation.deleteMqttAcl": _line,
}

MORE_BROKER_ACCOUNTS: dict[str, list[Arguments]] = {
    "Query.mqttAccount": [_account_by_id, _account_by_name],
    "Query.mqttAcl": [lambda it, _: {"username": it.mark}, lambda it, _: {"role": it.mark}],
    "Mutation.updateMqttAccount": [
        lambda it, me: {**_account_by_id(it, me), "values": {"newPassword": True}},
        lambda it, me: {**_account_by_name(it, me), "values": {"isActive": False}},
    ],
    "Mutation.deleteMqttAccount": [_account_by_id, _account_by_name],
    "Mutation.createMqttAcl": [
        lambda it, me: _new_line(_account_by_id(it, me), me),
        lambda it, me: _new_line(_account_by_name(it, me), me),
        lambda it, me: _new_line({"role": it.mark}, me),
    ],
}
"""What another tenant tries besides."""
