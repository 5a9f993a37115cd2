"""The relations of accounts on the broker: one query each, however many accounts a list has."""

from __future__ import annotations

from collections.abc import Sequence

from core.context import Context
from models.mqtt_roles import MqttAcl, MqttRole
from resolvers import broker_accounts, broker_roles
from schema.batching import Loader


class BrokerLoaders:
    """Roles and lines by the ids of accounts and roles, and their names by their ids."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.roles: Loader[int, list[MqttRole]] = Loader(self._roles)
        self.lines: Loader[int, list[MqttAcl]] = Loader(self._lines)
        self.role_lines: Loader[int, list[MqttAcl]] = Loader(self._role_lines)
        self.username: Loader[int, str | None] = Loader(self._usernames)
        self.role_name: Loader[int, str | None] = Loader(self._role_names)

    async def _roles(self, ids: Sequence[int]) -> list[list[MqttRole]]:
        found = await broker_accounts.list_roles_of(self._ctx, ids)
        return [found.get(id_, []) for id_ in ids]

    async def _lines(self, ids: Sequence[int]) -> list[list[MqttAcl]]:
        found = await broker_roles.list_lines_of_accounts(self._ctx, ids)
        return [found.get(id_, []) for id_ in ids]

    async def _role_lines(self, ids: Sequence[int]) -> list[list[MqttAcl]]:
        found = await broker_roles.list_lines_of_roles(self._ctx, ids)
        return [found.get(id_, []) for id_ in ids]

    async def _usernames(self, ids: Sequence[int]) -> list[str | None]:
        found = await broker_roles.find_usernames(self._ctx, ids)
        return [found.get(id_) for id_ in ids]

    async def _role_names(self, ids: Sequence[int]) -> list[str | None]:
        found = await broker_roles.find_role_names(self._ctx, ids)
        return [found.get(id_) for id_ in ids]
