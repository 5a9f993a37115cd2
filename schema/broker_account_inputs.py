"""What accounts on the broker are given, and how they and the owners of ACL lines are named."""

from __future__ import annotations

import strawberry

from resolvers import broker_accounts, broker_roles


@strawberry.input(description="Which account: by its id, its name, or both, which must then fit.")
class MqttAccountKey:
    """At least one of them."""

    id: int | None = None
    username: str | None = None

    def to_key(self) -> broker_accounts.AccountKey:
        """Return the same for use cases."""
        return broker_accounts.AccountKey(self.id, self.username)


@strawberry.input(description="Whose ACL line: an account's, or that of a role, by its name.")
class MqttAclOwner:
    """Exactly one of them."""

    account: MqttAccountKey | None = None
    role: str | None = None

    def to_owner(self) -> broker_roles.LineOwner:
        """Return the same for use cases."""
        account = None if self.account is None else self.account.to_key()
        return broker_roles.LineOwner(account, self.role)


@strawberry.input(description="Values of an account; what is left out stays, or is the default.")
class MqttAccountInput:
    """The columns that people fill."""

    password: str | None = strawberry.field(
        default=None,
        description="12 to 1000 characters, with a letter, nothing that everybody tries. A new "
        "account without one gets one that is made up.",
    )
    new_password: bool = strawberry.field(
        default=False, description="Make up another password; the answer has it."
    )
    roles: list[str] | None = strawberry.field(
        default=None, description="Names of roles, at most 20; replaced as a whole."
    )
    is_superuser: bool | None = strawberry.field(
        default=None,
        description="Whether it may publish and read everything, of all tenants. Only the "
        "installation's owner makes and changes such accounts.",
    )
    is_active: bool | None = None
    description: str | None = strawberry.field(default=None, description="Up to 500 characters.")

    def to_changes(self) -> broker_accounts.AccountChanges:
        """Return the same for use cases."""
        return broker_accounts.AccountChanges(
            password=self.password,
            new_password=self.new_password,
            roles=self.roles,
            is_superuser=self.is_superuser,
            is_active=self.is_active,
            description=self.description,
        )
