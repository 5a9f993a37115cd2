"""Device keys, and the end of provisioning keys."""

from __future__ import annotations

from typing import Any

from tests.contracts.cases.world import Case, World, nothing
from tests.factories import make_agent


async def _revoke(world: World) -> dict[str, Any]:
    spare = await make_agent(world.ctx, name="stolen")
    return {"path": {"uuid": str(spare.uuid)}, "json": {"reason": "the cabinet was found open"}}


CASES: dict[str, Case] = {
    **dict.fromkeys(
        ("PingDevice", "RotateDeviceKey", "DeviceKeyStatus", "DeviceKeyHistory"), nothing
    ),
    "RevokeDeviceKeys": _revoke,
    "GenerateProvisioningKey": lambda _: {"json": {"description": "line 4"}},
    "RevokeProvisioningKey": lambda world: {
        "path": {"keyId": world.answered["GenerateProvisioningKey"]["id"]},
        "json": {"reason": "lost"},
    },
}

ORDER = ("GenerateProvisioningKey", "RevokeProvisioningKey")
"""A key is made before it is revoked."""
