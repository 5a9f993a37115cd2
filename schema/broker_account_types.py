"""What is told of accounts on the broker, their roles and ACL lines."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry import Parent

from models import mqtt_accounts as account_rows
from models import mqtt_roles as rows
from resolvers.broker_accounts import ChangedAccount
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import MqttAccountKind


@strawberry.type(
    description="What an account, or whoever has a role, may do on the topics of an MQTT filter. "
    "Lines only ever grant."
)
class MqttAclLine:
    """Read off a row."""

    id: int
    topic: str
    access: int = strawberry.field(
        description="A sum of 1 to read, which includes to subscribe, 2 to write, 4 to subscribe; "
        "4 alone grants nothing."
    )
    priority: int = strawberry.field(description="Kept as it was sent; it changes nothing.")
    created_at: datetime
    client_id: str | None = strawberry.field(
        resolver=lambda: None, description="Always null: lines go by user name."
    )

    @strawberry.field(
        description="Whose line; null when it is a role's.",
        directives=[requires("broker_roles.find_usernames")],
    )
    async def username(self, row: Parent[rows.MqttAcl], info: Info) -> str | None:
        """Return the account's name; one query for all lines of a list."""
        if row.account_id is None:
            return None
        return await info.context.loaders.broker.username.load(row.account_id)

    @strawberry.field(
        description="Whose line; null when it is an account's.",
        directives=[requires("broker_roles.find_role_names")],
    )
    async def role(self, row: Parent[rows.MqttAcl], info: Info) -> str | None:
        """Return the role's name; one query for all lines of a list."""
        if row.role_id is None:
            return None
        return await info.context.loaders.broker.role_name.load(row.role_id)


@strawberry.type(description="ACL lines under one name, for all accounts that have the role.")
class MqttRole:
    """Read off a row."""

    name: str
    description: str
    created_at: datetime
    updated_at: datetime

    @strawberry.field(
        graphql_type=list[MqttAclLine],
        description="Its lines, oldest first, at most 200.",
        directives=[requires("broker_roles.list_lines_of_roles"), list_size(5)],
    )
    async def lines(self, row: Parent[rows.MqttRole], info: Info) -> list[rows.MqttAcl]:
        """Return the lines; one query for all roles of a list."""
        return await info.context.loaders.broker.role_lines.load(row.id)


@strawberry.type(description="A login of the broker. Nobody can read its password.")
class MqttAccount:
    """Read off a row."""

    id: int
    username: str
    kind: MqttAccountKind = strawberry.field(
        description="Whom it is for. Those of agents and sensors follow from what these are."
    )
    is_superuser: bool = strawberry.field(description="Whether it may publish and read everything.")
    is_active: bool
    description: str
    created_at: datetime
    updated_at: datetime

    @strawberry.field(
        graphql_type=list[MqttRole],
        description="Its roles by name, at most 20.",
        directives=[requires("broker_accounts.list_roles_of"), list_size(3)],
    )
    async def roles(self, row: Parent[account_rows.MqttAccount], info: Info) -> list[rows.MqttRole]:
        """Return the roles; one query for all accounts of a list."""
        return await info.context.loaders.broker.roles.load(row.id)

    @strawberry.field(
        graphql_type=list[MqttAclLine],
        description="The lines that it has itself, oldest first, at most 200. An agent's rights "
        "are no lines: they follow from its name.",
        directives=[requires("broker_roles.list_lines_of_accounts"), list_size(5)],
    )
    async def lines(self, row: Parent[account_rows.MqttAccount], info: Info) -> list[rows.MqttAcl]:
        """Return the lines; one query for all accounts of a list."""
        return await info.context.loaders.broker.lines.load(row.id)


@strawberry.type(description="An account after a change.")
class ChangedMqttAccount:
    """Read off the use case's value."""

    password: str | None = strawberry.field(
        description="The password that was made up now. Shown only in this answer."
    )

    @strawberry.field(graphql_type=MqttAccount)
    def account(self, changed: Parent[ChangedAccount]) -> account_rows.MqttAccount:
        """Return the account as it is now."""
        return changed.row
