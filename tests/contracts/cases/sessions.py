"""Login, refresh, logout, and who one is."""

from __future__ import annotations

from tests.contracts.cases.world import Case, World, nothing
from tests.contracts.serving import sign_in


def _refresh(world: World) -> dict[str, object]:
    token = world.answered["Login"]["data"]["refreshToken"]
    return {"json": {"refreshToken": token, "rotate": True}}


async def _logout(world: World) -> dict[str, object]:
    _, token = await sign_in(world.ctx)  # a session that nothing else needs
    return {"headers": {"authorization": token}}


CASES: dict[str, Case] = {
    "Login": lambda world: {
        "json": {"username": world.username, "password": "correct horse battery"}
    },
    "RefreshSession": _refresh,
    "Logout": _logout,
    "GetMe": nothing,
    "GetMyPermissions": nothing,
}

ORDER = ("Login", "RefreshSession")
