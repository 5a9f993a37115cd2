"""Fleets: named groups of agents."""

from __future__ import annotations

import strawberry


@strawberry.type
class FleetQuery:
    """Fields of Query."""


@strawberry.type
class FleetMutation:
    """Fields of Mutation."""
