"""Device keys: rotation and its state."""

from __future__ import annotations

import strawberry


@strawberry.type
class DeviceKeyQuery:
    """Fields of Query."""


@strawberry.type
class DeviceKeyMutation:
    """Fields of Mutation."""
