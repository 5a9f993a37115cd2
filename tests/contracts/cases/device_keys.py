"""Device keys, and the end of provisioning keys."""

from __future__ import annotations

from tests.contracts.cases.world import Case, nothing

CASES: dict[str, Case] = {
    **dict.fromkeys(
        ("PingDevice", "RotateDeviceKey", "DeviceKeyStatus", "DeviceKeyHistory"), nothing
    ),
    "RevokeDeviceKeys": lambda _: {"json": {"reason": "the cabinet was found open"}},
    "GenerateProvisioningKey": lambda _: {"json": {"description": "line 4"}},
    "RevokeProvisioningKey": lambda world: {
        "path": {"keyId": world.answered["GenerateProvisioningKey"]["id"]},
        "json": {"reason": "lost"},
    },
}

ORDER = ("GenerateProvisioningKey", "RevokeProvisioningKey")
"""A key is made before it is revoked."""
