"""Accounts: registering, invitations, passwords."""

from __future__ import annotations

import strawberry


@strawberry.type
class AccountQuery:
    """Fields of Query."""


@strawberry.type
class AccountMutation:
    """Fields of Mutation."""
