"""Which names and topics of the broker are whose: the fence between tenants that share it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from core.access import Permission, holds
from core.broker_accounts import AclRule
from core.context import Context
from core.errors import Conflict, Forbidden, InvalidInput, LimitReached
from core.mqtt_topics import encode_id
from models.mqtt_accounts import AccountKind, MqttAccount
from models.mqtt_roles import count_granted, roles_of_accounts, topics_of
from models.tenants import first_tenant, get_tenant
from resolvers.mqtt_accounts import READ, WRITE

NAME_CHARS_MAX: Final = 100
ACCESS_MAX: Final = 7
ACCOUNTS_MAX: Final = 1_000
GRANTED_MAX: Final = 20_000
"""Accounts of a tenant's people, and lines of them all: the broker's files are everybody's."""

_NAME: Final = re.compile(rf"[A-Za-z0-9._@-]{{1,{NAME_CHARS_MAX}}}")
_ID: Final = re.compile(
    r"[A-Za-z0-9_-]{22}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE
)
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_INSTEAD: Final = {
    AccountKind.AGENT: "This account is an agent's: deactivate the agent, or rotate its device key",
    AccountKind.SENSOR: "This account is a sensor's: change the endpoint of its agent instead",
}


def findable(name: str) -> str:
    """Return a name to look for; an empty one, which nothing has, for what cannot be stored."""
    return "" if len(name) > NAME_CHARS_MAX or _UNSTORABLE.search(name) else name


def checked_username(ctx: Context, username: str) -> str:
    """Return a name for an account of people. Raises InvalidInput, Conflict for the platform's.

    A name that looks like an id is none: `i/<id>/…` are a tenant's topics.
    """
    if not _NAME.fullmatch(username):
        raise InvalidInput(
            "username",
            f"must have 1 to {NAME_CHARS_MAX} letters, digits or any of . _ - @",
            limit=NAME_CHARS_MAX,
        )
    if _ID.fullmatch(username):
        raise InvalidInput("username", "must not look like the id of a tenant")
    if username.lower() in {name.lower() for name in ctx.policy.broker_usernames}:
        raise Conflict("This name is the platform's own", field="username")
    return username


def check_kind(account: MqttAccount) -> None:
    """Raise Conflict for an account that is not changed here."""
    if account.kind is not AccountKind.PERSON:
        raise Conflict(_INSTEAD[account.kind], field="username")


def check_access(access: int) -> None:
    """Raise InvalidInput unless these are bits of an ACL line."""
    if not 1 <= access <= ACCESS_MAX:
        raise InvalidInput(
            "access", "is a sum of 1 to read (and to subscribe), 2 to write, 4 to subscribe"
        )


class Reach:
    """What the caller may do at the broker that all tenants share."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def check_topic(self, topic: str, access: int) -> None:
        """Raise InvalidInput for what can be no line, Forbidden for topics beyond the tenant's own.

        The installation's owner may name any topic but those that control the broker.
        """
        check_access(access)
        AclRule(topic, read=bool(access & READ), write=bool(access & WRITE))
        await self.check_topics([topic])

    async def check_topics(self, topics: Iterable[str]) -> None:
        """Raise Forbidden for topics beyond the tenant's own, unless by the installation's owner."""
        prefix = f"i/{encode_id(str((await get_tenant(self._ctx.tenant_id)).uuid))}/"
        beyond = next((topic for topic in topics if not topic.startswith(prefix)), None)
        if beyond is None or await self.is_installation_owner():
            return
        raise Forbidden(
            f"Your topics begin with {prefix}; {beyond[:100]!r} does not", field="topic"
        )

    async def check_superuser(self) -> None:
        """Raise Forbidden unless the caller may make and change accounts that may do everything."""
        if not await self.is_installation_owner():
            raise Forbidden("Only the installation's owner may do this to superusers of the broker")

    async def check_account(
        self, account: MqttAccount, role_ids: Sequence[int] | None = None
    ) -> None:
        """Raise unless the caller may change this account, and may give it these roles.

        Whoever sets the password of an account can do all that it may: only the installation's owner
        changes one that reaches beyond its tenant.
        """
        check_kind(account)
        if account.is_superuser:
            await self.check_superuser()
        held = await roles_of_accounts(self._ctx.tenant_id, [account.id])
        ids = {role.id for role in held.get(account.id, ())} | {*(role_ids or ())}
        await self.check_topics(await topics_of(self._ctx.tenant_id, account.id, sorted(ids)))

    async def check_room(self) -> None:
        """Raise LimitReached when the tenant has more accounts of people, or lines, than it may."""
        accounts = await MqttAccount.of(self._ctx.tenant_id, agent_id=None).count()
        granted = await count_granted(self._ctx.tenant_id)
        for what, used, limit in (
            ("accounts of people", accounts, ACCOUNTS_MAX),
            (
                "ACL lines, those of a role counted for each account that has it",
                granted,
                GRANTED_MAX,
            ),
        ):
            if used > limit:
                raise LimitReached(
                    f"A tenant has at most {limit:,} {what}", limit=limit, used=used - 1
                )

    async def is_installation_owner(self) -> bool:
        """Whether the caller runs the installation: as an owner of its first tenant."""
        if not holds(self._ctx.caller, Permission.TENANT_MANAGE):
            return False
        first = await first_tenant()
        return first is not None and first.id == self._ctx.tenant_id
