"""The audit log."""

from __future__ import annotations

import strawberry


@strawberry.type
class AuditQuery:
    """Fields of Query."""


@strawberry.type
class AuditMutation:
    """Fields of Mutation."""
