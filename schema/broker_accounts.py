"""Accounts on the broker, their roles and ACL lines."""

from __future__ import annotations

from typing import Annotated

import strawberry

from core.paging import Slice
from models import mqtt_accounts as account_rows
from models import mqtt_roles as rows
from resolvers import broker_accounts, broker_roles
from schema.broker_account_inputs import MqttAccountInput, MqttAccountKey, MqttAclOwner
from schema.broker_account_pages import (
    MqttAccountConnection,
    MqttAclConnection,
    MqttRoleConnection,
)
from schema.broker_account_types import (
    ChangedMqttAccount,
    MqttAccount,
    MqttAclLine,
    MqttRole,
)
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import MqttAccountKind

_Topic = Annotated[
    str,
    strawberry.argument(description="An MQTT filter that begins with `i/`, your tenant, and `/`."),
]
_Access = Annotated[
    int,
    strawberry.argument(
        description="A sum of 1 to read (and to subscribe), 2 to write, 4 to subscribe."
    ),
]


@strawberry.type
class BrokerAccountQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=MqttAccount | None,
        description="One account on the broker; null with an error NOT_FOUND when there is none.",
        directives=[requires("broker_accounts.get_account")],
    )
    async def mqtt_account(self, info: Info, account: MqttAccountKey) -> account_rows.MqttAccount:
        """Return one account."""
        return await broker_accounts.get_account(info.context.ctx, account.to_key())

    @strawberry.field(
        graphql_type=MqttAccountConnection,
        description="Accounts on the broker by name; `first` is at most 500.",
        directives=[
            requires("broker_accounts.list_accounts"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def mqtt_accounts(
        self,
        info: Info,
        kind: MqttAccountKind | None = None,
        first: int = 50,
        after: str | None = None,
    ) -> Slice[account_rows.MqttAccount]:
        """Return a page of accounts."""
        return await broker_accounts.list_accounts(info.context.ctx, kind, first, after)

    @strawberry.field(
        graphql_type=MqttRoleConnection,
        description="Roles of the broker by name; `first` is at most 500.",
        directives=[
            requires("broker_roles.list_roles"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def mqtt_roles(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> Slice[rows.MqttRole]:
        """Return a page of roles."""
        return await broker_roles.list_roles(info.context.ctx, first, after)

    @strawberry.field(
        graphql_type=MqttAclConnection,
        description="ACL lines, oldest first: all, or those of an account itself or of a role; "
        "`first` is at most 500.",
        directives=[
            requires("broker_roles.list_lines"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def mqtt_acl(
        self,
        info: Info,
        username: str | None = None,
        role: str | None = None,
        first: int = 50,
        after: str | None = None,
    ) -> Slice[rows.MqttAcl]:
        """Return a page of lines."""
        account = MqttAccountKey(username=username) if username is not None else None
        owner = MqttAclOwner(account=account, role=role)
        wanted = owner.to_owner() if account or role is not None else None
        return await broker_roles.list_lines(info.context.ctx, wanted, first, after)


@strawberry.type
class BrokerAccountMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=ChangedMqttAccount,
        description="Make an account on the broker; it is usable within two seconds. CONFLICT when "
        "an account of the installation has the name.",
        directives=[requires("broker_accounts.create_account")],
    )
    async def create_mqtt_account(
        self,
        info: Info,
        username: Annotated[
            str,
            strawberry.argument(
                description="1 to 100 letters, digits or any of `.`, `_`, `-`, `@`."
            ),
        ],
        values: MqttAccountInput | None = None,
    ) -> broker_accounts.ChangedAccount:
        """Return the new account, with its password if that was made up."""
        given = (values or MqttAccountInput()).to_changes()
        return await broker_accounts.create_account(info.context.ctx, username, given)

    @strawberry.mutation(
        graphql_type=ChangedMqttAccount,
        description="Change an account on the broker. CONFLICT for those of agents and sensors.",
        directives=[requires("broker_accounts.update_account")],
    )
    async def update_mqtt_account(
        self, info: Info, account: MqttAccountKey, values: MqttAccountInput
    ) -> broker_accounts.ChangedAccount:
        """Return the account as it is now, with its new password if that was made up."""
        return await broker_accounts.update_account(
            info.context.ctx, account.to_key(), values.to_changes()
        )

    @strawberry.mutation(
        graphql_type=MqttAccount,
        description="Delete an account and its lines; who is connected with it is cut off. "
        "CONFLICT for those of agents and sensors.",
        directives=[requires("broker_accounts.delete_account")],
    )
    async def delete_mqtt_account(
        self, info: Info, account: MqttAccountKey
    ) -> account_rows.MqttAccount:
        """Return the account as it was."""
        return await broker_accounts.delete_account(info.context.ctx, account.to_key())

    @strawberry.mutation(
        graphql_type=MqttRole,
        description="Make a role of the broker, without lines.",
        directives=[requires("broker_roles.create_role")],
    )
    async def create_mqtt_role(
        self,
        info: Info,
        name: Annotated[str, strawberry.argument(description="1 to 100 characters.")],
        description: str = "",
    ) -> rows.MqttRole:
        """Return the new role."""
        return await broker_roles.create_role(info.context.ctx, name, description)

    @strawberry.mutation(
        graphql_type=MqttRole,
        description="Call a role of the broker something else.",
        directives=[requires("broker_roles.update_role")],
    )
    async def update_mqtt_role(
        self, info: Info, name: str, new_name: str | None = None, description: str | None = None
    ) -> rows.MqttRole:
        """Return the role as it is now."""
        return await broker_roles.update_role(
            info.context.ctx, name, new_name=new_name, description=description
        )

    @strawberry.mutation(
        graphql_type=MqttRole,
        description="Delete a role and its lines; its accounts lose what it gave them.",
        directives=[requires("broker_roles.delete_role")],
    )
    async def delete_mqtt_role(self, info: Info, name: str) -> rows.MqttRole:
        """Return the role as it was, without its lines."""
        return await broker_roles.delete_role(info.context.ctx, name)

    @strawberry.mutation(
        graphql_type=MqttAclLine,
        description="Let an account, or all that have a role, read or write on topics. An owner "
        "has at most 200 lines.",
        directives=[requires("broker_roles.create_line")],
    )
    async def create_mqtt_acl(
        self, info: Info, owner: MqttAclOwner, topic: _Topic, access: _Access, priority: int = 0
    ) -> rows.MqttAcl:
        """Return the new line."""
        return await broker_roles.create_line(
            info.context.ctx, owner.to_owner(), topic, access, priority
        )

    @strawberry.mutation(
        graphql_type=MqttAclLine,
        description="Change an ACL line; what is left out stays.",
        directives=[requires("broker_roles.update_line")],
    )
    async def update_mqtt_acl(
        self,
        info: Info,
        id: int,  # noqa: A002  (the argument's name in the contract)
        topic: str | None = None,
        access: int | None = None,
        priority: int | None = None,
    ) -> rows.MqttAcl:
        """Return the line as it is now."""
        changes = broker_roles.LineChanges(topic, access, priority)
        return await broker_roles.update_line(info.context.ctx, id, changes)

    @strawberry.mutation(
        graphql_type=MqttAclLine,
        description="Delete an ACL line.",
        directives=[requires("broker_roles.delete_line")],
    )
    async def delete_mqtt_acl(
        self,
        info: Info,
        id: int,  # noqa: A002  (as above)
    ) -> rows.MqttAcl:
        """Return the line as it was."""
        return await broker_roles.delete_line(info.context.ctx, id)
