"""Accounts of people."""

from __future__ import annotations

from typing import Any

from tests.contracts.cases.world import Case, World, nothing


def _made(world: World) -> dict[str, Any]:
    return {"id": world.answered["CreateUser"]["id"]}


CASES: dict[str, Case] = {
    "ListUsers": nothing,
    "GetUser": lambda world: {"path": {"id": world.user_id}},
    "CreateUser": lambda world: {
        "json": {
            "username": f"ann-{world.user_id}",
            "email": f"ann-{world.user_id}@example.com",
            "password": "kept by nobody at all",
            "role": "operator",
        }
    },
    "UpdateUser": lambda world: {"json": {"role": "Viewer"}, "path": _made(world)},
    "DeleteUser": lambda world: {"path": _made(world)},
}

ORDER = ("CreateUser", "UpdateUser", "DeleteUser")
