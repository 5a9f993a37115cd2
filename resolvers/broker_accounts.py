"""Accounts on the broker that people look after: their own, and those of their programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.access import Permission, allow
from core.audit import AuditEntry, AuditType, Severity
from core.broker_accounts import hash_broker_password
from core.context import Context
from core.errors import InvalidInput, NotFound
from core.events import BROKER_ACCOUNTS, BrokerAccountsChanged
from core.paging import PAGE_SIZE_MAX, Slice, page_size
from core.password_rules import check_password
from core.rate_limits import RateScope
from core.texts import checked_text
from models.mqtt_accounts import (
    AccountKind,
    MqttAccount,
    page_of_accounts,
    taken_account_names,
)
from models.mqtt_roles import MqttRole, roles_of_accounts, set_roles
from models.unit_of_work import Work, database_errors, unit_of_work
from resolvers.broker_reach import Reach, checked_username, findable

DESCRIPTION_CHARS_MAX: Final = 500
ROLES_MAX: Final = 20
_COLUMNS: Final = ("is_superuser", "is_active", "description")


@dataclass(frozen=True, slots=True)
class AccountKey:
    """Which account: by its id, by its name, or by both, which must then fit."""

    id: int | None = None
    username: str | None = None

    def equals(self) -> dict[str, object]:
        """Return the columns that say so; raises InvalidInput when nothing is given."""
        found: dict[str, object] = {}
        if self.id is not None:
            if not 0 <= self.id < 2**31:
                raise NotFound(MqttAccount.noun, self.id)
            found["id"] = self.id
        if self.username is not None:
            found["username"] = findable(self.username)
        if not found:
            raise InvalidInput("username", "give either this or an id")
        return found


@dataclass(frozen=True, slots=True)
class AccountChanges:
    """New values of an account; None leaves one as it is. `roles` are names, and replace all."""

    password: str | None = None
    new_password: bool = False
    roles: Sequence[str] | None = None
    is_superuser: bool | None = None
    is_active: bool | None = None
    description: str | None = None

    def columns(self) -> dict[str, object]:
        """Return the plain values that are given, by column; raises InvalidInput."""
        given = {name: getattr(self, name) for name in _COLUMNS}
        if self.description is not None:
            given["description"] = checked_text(
                "description", self.description, DESCRIPTION_CHARS_MAX
            )
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ChangedAccount:
    """An account, and its password if that was made up now: nobody can read it again."""

    row: MqttAccount
    password: str | None = None


@allow(Permission.MQTT_USER_READ)
async def list_accounts(
    ctx: Context,
    kind: AccountKind | None = None,
    first: int = PAGE_SIZE_MAX,
    after: str | None = None,
) -> Slice[MqttAccount]:
    """Return the tenant's accounts by name, `first` at a time: all, or those of one kind."""
    with database_errors():
        return await page_of_accounts(ctx.tenant_id, kind, page_size(first), after)


@allow(Permission.MQTT_USER_READ)
async def get_account(ctx: Context, key: AccountKey) -> MqttAccount:
    """Return one account. Raises NotFound."""
    with database_errors():
        return await MqttAccount.find_row(ctx.tenant_id, **key.equals())


@allow(Permission.MQTT_USER_READ)
async def list_roles_of(ctx: Context, account_ids: Sequence[int]) -> dict[int, list[MqttRole]]:
    """Return the roles of accounts by name, in one query; those without any are left out."""
    with database_errors():
        return await roles_of_accounts(ctx.tenant_id, account_ids)


@allow(Permission.MQTT_USER_WRITE, limit=RateScope.ADMIN)
async def create_account(ctx: Context, username: str, values: AccountChanges) -> ChangedAccount:
    """Make an account; its password is made up unless given, and only in this answer.

    Raises Conflict when an account of the installation has the name, Forbidden for a superuser
    unless by the installation's owner, and for roles that reach beyond the tenant's topics.
    """
    username = checked_username(ctx, username)
    columns = values.columns()
    password = _password(ctx, username, values) or ctx.ids.secret(24)
    now = ctx.clock.now()
    account = MqttAccount(
        tenant_id=ctx.tenant_id,
        username=username,
        password_hash=_hash(ctx, password),
        created_by=ctx.caller.user_id,
        created_at=now,
        updated_at=now,
        **columns,
    )
    async with unit_of_work(ctx) as work:
        roles = await _roles(ctx, values.roles or ())
        with taken_account_names():
            await account.save()
        await _reach(ctx, account, roles)
        await set_roles(ctx.tenant_id, account.id, [role.id for role in roles])
        await Reach(ctx).check_room()
        after = {**columns, "roles": [role.name for role in roles]}
        _note(work, AuditType.MQTT_USER_CREATED, username, after=after)
    return ChangedAccount(account, None if values.password else password)


@allow(Permission.MQTT_USER_WRITE, limit=RateScope.ADMIN)
async def update_account(ctx: Context, key: AccountKey, changes: AccountChanges) -> ChangedAccount:
    """Change an account; with a new password, who is connected with the old one is cut off.

    Raises NotFound, Conflict for accounts of agents and sensors, and Forbidden as
    `create_account` does.
    """
    wanted = changes.columns()
    async with unit_of_work(ctx) as work:
        account = await _locked(ctx, key)
        roles = None if changes.roles is None else await _roles(ctx, changes.roles)
        await _reach(ctx, account, roles or ())
        if changes.is_superuser:
            await Reach(ctx).check_superuser()
        before: dict[str, object] = {name: getattr(account, name) for name in wanted}
        after = dict(wanted)
        account.update_from_dict(wanted)
        password = _password(ctx, account.username, changes)
        if password is not None:
            account.password_hash = _hash(ctx, password)
            before["password"], after["password"] = "former", "new"
        if roles is not None:
            held = (await roles_of_accounts(ctx.tenant_id, [account.id])).get(account.id, [])
            before["roles"], after["roles"] = [r.name for r in held], [r.name for r in roles]
            if before["roles"] != after["roles"]:
                await set_roles(ctx.tenant_id, account.id, [role.id for role in roles])
                await Reach(ctx).check_room()
        if before != after:
            account.updated_at = ctx.clock.now()
            await account.save(update_fields=[*wanted, "password_hash", "updated_at"])
            _note(work, AuditType.MQTT_USER_UPDATED, account.username, before, after)
    return ChangedAccount(account, password if changes.new_password else None)


@allow(Permission.MQTT_USER_WRITE, limit=RateScope.ADMIN)
async def delete_account(ctx: Context, key: AccountKey) -> MqttAccount:
    """Delete an account with its lines; who is connected with it is cut off.

    Raises NotFound, Conflict for accounts of agents and sensors.
    """
    async with unit_of_work(ctx) as work:
        account = await _locked(ctx, key)
        await _reach(ctx, account, ())
        await MqttAccount.of(ctx.tenant_id, id=account.id).delete()
        before = {name: getattr(account, name) for name in _COLUMNS}
        _note(work, AuditType.MQTT_USER_DELETED, account.username, before, None)
    return account


async def _locked(ctx: Context, key: AccountKey) -> MqttAccount:
    query = MqttAccount.of(ctx.tenant_id, **key.equals()).select_for_update()
    account = await query.first()
    if account is None:
        raise NotFound(MqttAccount.noun, key.username or key.id)
    return account


async def _reach(ctx: Context, account: MqttAccount, roles: Sequence[MqttRole]) -> None:
    await Reach(ctx).check_account(account, [role.id for role in roles])


async def _roles(ctx: Context, names: Sequence[str]) -> list[MqttRole]:
    """Return the roles of these names, by name."""
    wanted = {*names}
    if len(wanted) > ROLES_MAX:
        raise InvalidInput("roles", f"must be at most {ROLES_MAX}", limit=ROLES_MAX)
    found = await MqttRole.with_any(ctx.tenant_id, "name", {*map(findable, wanted)})
    for name in sorted(wanted - {role.name for role in found}):
        raise InvalidInput("roles", f"there is no role {name[:100]!r}")
    return sorted(found, key=lambda role: role.name)


def _password(ctx: Context, username: str, changes: AccountChanges) -> str | None:
    """Return the password to set, if one is: the given one, or one that is made up."""
    if changes.password is None:
        return ctx.ids.secret(24) if changes.new_password else None
    if changes.new_password:
        raise InvalidInput("newPassword", "cannot be asked for along with a password")
    check_password(changes.password, username=username)
    if "\x00" in changes.password:
        raise InvalidInput("password", "must not contain a NUL")
    return changes.password


def _hash(ctx: Context, password: str) -> str:
    return hash_broker_password(password, bytes.fromhex(ctx.ids.secret_hex(12)))


def _note(
    work: Work,
    type_: AuditType,
    username: str,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    severity = Severity.WARNING if type_ is AuditType.MQTT_USER_DELETED else Severity.INFO
    work.record(AuditEntry(type_, f"mqtt_user:{username}", severity, before, after))
    work.emit(BROKER_ACCOUNTS, BrokerAccountsChanged())
