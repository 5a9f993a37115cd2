"""Tenants: the organisations of the installation."""

from __future__ import annotations

import strawberry


@strawberry.type
class TenantQuery:
    """Fields of Query."""


@strawberry.type
class TenantMutation:
    """Fields of Mutation."""
