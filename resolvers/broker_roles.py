"""Roles of the broker, and ACL lines: what accounts may publish and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.access import Permission, allow
from core.audit import AuditEntry, AuditType
from core.context import Context
from core.errors import InvalidInput, LimitReached, NotFound
from core.events import BROKER_ACCOUNTS, BrokerAccountsChanged
from core.paging import PAGE_SIZE_MAX, Slice, page_size
from core.rate_limits import RateScope
from core.texts import checked_text
from models.mqtt_accounts import MqttAccount
from models.mqtt_roles import (
    MqttAcl,
    MqttRole,
    page_of_lines,
    page_of_roles,
    taken_role_names,
    topics_of,
)
from models.unit_of_work import Work, database_errors, unit_of_work
from resolvers.broker_accounts import DESCRIPTION_CHARS_MAX, AccountKey
from resolvers.broker_reach import NAME_CHARS_MAX, Reach, findable

LINES_MAX: Final = 200
"""Lines of one account or role, so that all of them can be shown with it."""

PRIORITY_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class LineOwner:
    """Whose line: an account's or a role's."""

    account: AccountKey | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class LineChanges:
    """New values of an ACL line; None leaves one as it is."""

    topic: str | None = None
    access: int | None = None
    priority: int | None = None

    def columns(self) -> dict[str, object]:
        """Return the given values by column; raises InvalidInput."""
        if self.priority is not None and not 0 <= self.priority <= PRIORITY_MAX:
            raise InvalidInput(
                "priority", f"must be between 0 and {PRIORITY_MAX}", limit=PRIORITY_MAX
            )
        given = {"topic": self.topic, "access": self.access, "priority": self.priority}
        return {name: value for name, value in given.items() if value is not None}


@allow(Permission.MQTT_USER_READ)
async def list_roles(
    ctx: Context, first: int = PAGE_SIZE_MAX, after: str | None = None
) -> Slice[MqttRole]:
    """Return the tenant's roles by name, `first` at a time."""
    with database_errors():
        return await page_of_roles(ctx.tenant_id, page_size(first), after)


@allow(Permission.MQTT_ACL_MANAGE, limit=RateScope.ADMIN)
async def create_role(ctx: Context, name: str, description: str = "") -> MqttRole:
    """Make a role without lines. Raises Conflict when another one of the tenant has the name."""
    now = ctx.clock.now()
    role = MqttRole(
        tenant_id=ctx.tenant_id,
        name=_checked_name(name),
        description=checked_text("description", description, DESCRIPTION_CHARS_MAX),
        created_at=now,
        updated_at=now,
    )
    async with unit_of_work(ctx) as work:
        with taken_role_names():
            await role.save()
        _note_role(work, role.name, None, {"name": role.name, "description": role.description})
    return role


@allow(Permission.MQTT_ACL_MANAGE, limit=RateScope.ADMIN)
async def update_role(
    ctx: Context, name: str, *, new_name: str | None = None, description: str | None = None
) -> MqttRole:
    """Call a role something else; its lines and its accounts stay. Raises NotFound, Conflict."""
    wanted: dict[str, object] = {}
    if new_name is not None:
        wanted["name"] = _checked_name(new_name)
    if description is not None:
        wanted["description"] = checked_text("description", description, DESCRIPTION_CHARS_MAX)
    async with unit_of_work(ctx) as work:
        role = await _locked_role(ctx, name)
        before = {column: getattr(role, column) for column in wanted}
        if before != wanted:
            role.update_from_dict(wanted)
            role.updated_at = ctx.clock.now()
            with taken_role_names():
                await role.save(update_fields=[*wanted, "updated_at"])
            _note_role(work, name, before, wanted)
    return role


@allow(Permission.MQTT_ACL_MANAGE, limit=RateScope.ADMIN)
async def delete_role(ctx: Context, name: str) -> MqttRole:
    """Delete a role with its lines; its accounts lose what it gave them. Raises NotFound."""
    async with unit_of_work(ctx) as work:
        role = await _locked_role(ctx, name)
        await MqttRole.of(ctx.tenant_id, id=role.id).delete()
        _note_role(work, name, {"name": name, "description": role.description}, None)
    return role


@allow(Permission.MQTT_USER_READ)
async def list_lines(
    ctx: Context,
    owner: LineOwner | None = None,
    first: int = PAGE_SIZE_MAX,
    after: str | None = None,
) -> Slice[MqttAcl]:
    """Return the tenant's ACL lines, oldest first: all, or those of an account itself or a role.

    Raises NotFound when there is no such account or role.
    """
    with database_errors():
        owned = await _owned_by(ctx, owner)
        return await page_of_lines(ctx.tenant_id, owned, page_size(first), after)


@allow(Permission.MQTT_USER_READ)
async def list_lines_of_accounts(
    ctx: Context, account_ids: Sequence[int]
) -> dict[int, list[MqttAcl]]:
    """Return the lines that accounts have themselves, in one query."""
    with database_errors():
        rows = await MqttAcl.with_any(ctx.tenant_id, "account_id", account_ids)
    return _by_owner(rows, "account_id")


@allow(Permission.MQTT_USER_READ)
async def list_lines_of_roles(ctx: Context, role_ids: Sequence[int]) -> dict[int, list[MqttAcl]]:
    """Return the lines of roles, in one query."""
    with database_errors():
        rows = await MqttAcl.with_any(ctx.tenant_id, "role_id", role_ids)
    return _by_owner(rows, "role_id")


@allow(Permission.MQTT_USER_READ)
async def find_usernames(ctx: Context, account_ids: Sequence[int]) -> dict[int, str]:
    """Return the names of accounts, in one query."""
    with database_errors():
        rows = await MqttAccount.with_any(ctx.tenant_id, "id", account_ids)
    return {row.id: row.username for row in rows}


@allow(Permission.MQTT_USER_READ)
async def find_role_names(ctx: Context, role_ids: Sequence[int]) -> dict[int, str]:
    """Return the names of roles, in one query."""
    with database_errors():
        rows = await MqttRole.with_any(ctx.tenant_id, "id", role_ids)
    return {row.id: row.name for row in rows}


@allow(Permission.MQTT_ACL_MANAGE, limit=RateScope.ADMIN)
async def create_line(
    ctx: Context, owner: LineOwner, topic: str, access: int, priority: int = 0
) -> MqttAcl:
    """Let an account, or all that have a role, read (1) or write (2) on the topics of a filter.

    To read includes to subscribe. Raises NotFound without such an owner, Conflict for accounts of
    agents and sensors, Forbidden for topics beyond `i/<tenant>/`, unless by the installation's
    owner, and LimitReached for an owner that has 200 lines, or a tenant that has 20,000.
    """
    columns = LineChanges(topic, access, priority).columns()
    async with unit_of_work(ctx) as work:
        await Reach(ctx).check_topic(topic, access)
        owned = await _held(ctx, owner)
        used = await MqttAcl.of(ctx.tenant_id, **owned).count()
        if used >= LINES_MAX:
            raise LimitReached(f"There are {LINES_MAX} lines already", limit=LINES_MAX, used=used)
        values = {"tenant_id": ctx.tenant_id, "created_at": ctx.clock.now(), **owned, **columns}
        line = MqttAcl(**values)
        await line.save()
        await Reach(ctx).check_room()
        _note_line(work, line, None, columns)
    return line


@allow(Permission.MQTT_ACL_MANAGE, limit=RateScope.ADMIN)
async def update_line(ctx: Context, line_id: int, changes: LineChanges) -> MqttAcl:
    """Change a line. Raises NotFound, and otherwise as `create_line` does."""
    wanted = changes.columns()
    async with unit_of_work(ctx) as work:
        line = await _locked_line(ctx, line_id)
        before = {column: getattr(line, column) for column in wanted}
        line.update_from_dict(wanted)
        await Reach(ctx).check_topic(line.topic, line.access)
        if before != wanted:
            await line.save(update_fields=[*wanted])
            _note_line(work, line, before, wanted)
    return line


@allow(Permission.MQTT_ACL_MANAGE, limit=RateScope.ADMIN)
async def delete_line(ctx: Context, line_id: int) -> MqttAcl:
    """Delete a line; what only it granted is refused from then on. Raises NotFound."""
    async with unit_of_work(ctx) as work:
        line = await _locked_line(ctx, line_id)
        await MqttAcl.of(ctx.tenant_id, id=line.id).delete()
        _note_line(work, line, {"topic": line.topic, "access": line.access}, None)
    return line


def _checked_name(name: str) -> str:
    return checked_text("name", name, NAME_CHARS_MAX, chars_min=1)


def _by_owner(lines: Sequence[MqttAcl], column: str) -> dict[int, list[MqttAcl]]:
    found: dict[int, list[MqttAcl]] = {}
    for line in sorted(lines, key=lambda line: line.id):
        found.setdefault(getattr(line, column), []).append(line)
    return found


async def _owned_by(ctx: Context, owner: LineOwner | None) -> dict[str, int]:
    """Return the column that says whose lines; raises NotFound."""
    if owner is None:
        return {}
    if (owner.account is None) == (owner.role is None):
        raise InvalidInput("role", "give either this or an account")
    if owner.account is not None:
        return {
            "account_id": (await MqttAccount.find_row(ctx.tenant_id, **owner.account.equals())).id
        }
    return {"role_id": (await MqttRole.find_row(ctx.tenant_id, name=findable(str(owner.role)))).id}


async def _held(ctx: Context, owner: LineOwner) -> dict[str, int]:
    """Hold the owner of lines that are to change, and return the column that says whose."""
    owned = await _owned_by(ctx, owner)
    if "role_id" in owned:
        await _locked_role(ctx, str(owner.role))
        return owned
    account = (
        await MqttAccount.of(ctx.tenant_id, id=owned["account_id"]).select_for_update().first()
    )
    if account is None:
        raise NotFound(MqttAccount.noun, owned["account_id"])
    await Reach(ctx).check_account(account)
    return owned


async def _locked_role(ctx: Context, name: str) -> MqttRole:
    role = await MqttRole.of(ctx.tenant_id, name=findable(name)).select_for_update().first()
    if role is None:
        raise NotFound(MqttRole.noun, name)
    await Reach(ctx).check_topics(await topics_of(ctx.tenant_id, None, [role.id]))
    return role


async def _locked_line(ctx: Context, line_id: int) -> MqttAcl:
    """Return a line to change; whoever may not change its owner may not change it either."""
    found = 0 <= line_id < 2**31 and MqttAcl.of(ctx.tenant_id, id=line_id).select_for_update()
    line = await found.first() if found else None
    if line is None:
        raise NotFound(MqttAcl.noun, line_id)
    await Reach(ctx).check_topics([line.topic])
    if line.account_id is not None:
        account = await MqttAccount.find_row(ctx.tenant_id, id=line.account_id)
        await Reach(ctx).check_account(account)
    return line


def _note_role(
    work: Work, name: str, before: dict[str, object] | None, after: dict[str, object] | None
) -> None:
    work.record(
        AuditEntry(AuditType.MQTT_ROLE_CHANGED, f"mqtt_role:{name}", before=before, after=after)
    )
    work.emit(BROKER_ACCOUNTS, BrokerAccountsChanged())


def _note_line(
    work: Work, line: MqttAcl, before: dict[str, object] | None, after: dict[str, object] | None
) -> None:
    details = {"account_id": line.account_id, "role_id": line.role_id}
    work.record(
        AuditEntry(
            AuditType.MQTT_ACL_CHANGED,
            f"mqtt_acl:{line.id}",
            before=before,
            after=after,
            details={name: value for name, value in details.items() if value is not None},
        )
    )
    work.emit(BROKER_ACCOUNTS, BrokerAccountsChanged())
