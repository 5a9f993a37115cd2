"""Pages of accounts on the broker, of roles, and of ACL lines."""

from __future__ import annotations

import strawberry
from strawberry import Parent

from core.paging import Slice
from models import mqtt_accounts as account_rows
from models import mqtt_roles as rows
from schema.agents import PageInfo
from schema.broker_account_types import MqttAccount, MqttAclLine, MqttRole


@strawberry.type
class MqttAccountEdge:
    """An account and its place in the list."""

    cursor: str
    node: MqttAccount


@strawberry.type(description="A page of accounts, by name.")
class MqttAccountConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[account_rows.MqttAccount]]) -> list[MqttAccountEdge]:
        """Return the rows with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [MqttAccountEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[MqttAccount])
    def nodes(
        self, page: Parent[Slice[account_rows.MqttAccount]]
    ) -> list[account_rows.MqttAccount]:
        """Return the rows alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[account_rows.MqttAccount]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="`after` of the next page; null on the last one.")
    def next_cursor(self, page: Parent[Slice[account_rows.MqttAccount]]) -> str | None:
        """Return the last cursor, if more comes after it."""
        return page.cursors[-1] if page.has_next else None

    @strawberry.field(description="How many there are on all pages.")
    def total_count(self, page: Parent[Slice[account_rows.MqttAccount]]) -> int:
        """Return the number of matches."""
        return page.total


@strawberry.type
class MqttRoleEdge:
    """A role and its place in the list."""

    cursor: str
    node: MqttRole


@strawberry.type(description="A page of roles, by name.")
class MqttRoleConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.MqttRole]]) -> list[MqttRoleEdge]:
        """Return the rows with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [MqttRoleEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[MqttRole])
    def nodes(self, page: Parent[Slice[rows.MqttRole]]) -> list[rows.MqttRole]:
        """Return the rows alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.MqttRole]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="`after` of the next page; null on the last one.")
    def next_cursor(self, page: Parent[Slice[rows.MqttRole]]) -> str | None:
        """Return the last cursor, if more comes after it."""
        return page.cursors[-1] if page.has_next else None

    @strawberry.field(description="How many there are on all pages.")
    def total_count(self, page: Parent[Slice[rows.MqttRole]]) -> int:
        """Return the number of matches."""
        return page.total


@strawberry.type
class MqttAclEdge:
    """A line and its place in the list."""

    cursor: str
    node: MqttAclLine


@strawberry.type(description="A page of ACL lines, oldest first.")
class MqttAclConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.MqttAcl]]) -> list[MqttAclEdge]:
        """Return the rows with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [MqttAclEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[MqttAclLine])
    def nodes(self, page: Parent[Slice[rows.MqttAcl]]) -> list[rows.MqttAcl]:
        """Return the rows alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.MqttAcl]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="`after` of the next page; null on the last one.")
    def next_cursor(self, page: Parent[Slice[rows.MqttAcl]]) -> str | None:
        """Return the last cursor, if more comes after it."""
        return page.cursors[-1] if page.has_next else None

    @strawberry.field(description="How many there are on all pages.")
    def total_count(self, page: Parent[Slice[rows.MqttAcl]]) -> int:
        """Return the number of matches."""
        return page.total
