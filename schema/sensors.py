"""Sensors: the endpoints that an agent reads."""

from __future__ import annotations

import strawberry


@strawberry.type
class SensorQuery:
    """Fields of Query."""


@strawberry.type
class SensorMutation:
    """Fields of Mutation."""
