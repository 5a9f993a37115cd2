"""The accounts that the amqtt child works with, read from the files that its parent writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from amqtt.contexts import Action

from core.broker_accounts import (
    BrokerAccount,
    may,
    may_subscribe,
    parse_accounts,
    verify_broker_password,
)
from core.mqtt_topics import encode_id

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


class Accounts:
    """The accounts in a folder's `passwords` and `acl` files, as of the last `refresh`."""

    def __init__(self, folder: Path) -> None:
        self._files = folder / "passwords", folder / "acl"
        self._stamp: tuple[tuple[int, int, int], ...] = ()
        self._known: dict[str, BrokerAccount] = {}
        self._agents: frozenset[str] = frozenset()
        self.refresh()

    def refresh(self) -> bool:
        """Read the files again if they were replaced; say whether they were."""
        status = [path.stat() for path in self._files]
        stamp = tuple((s.st_ino, s.st_mtime_ns, s.st_size) for s in status)
        if stamp == self._stamp:
            return False
        passwords, acl = (path.read_text() for path in self._files)
        self._known = {a.username: a for a in parse_accounts(passwords, acl)}
        self._agents = frozenset(_agent_of(a) for a in self._known.values() if a.is_agent)
        self._stamp = stamp
        return True

    def holds(self, username: str | None, password: str | None) -> bool:
        """Say whether this name and password may log in."""
        account = self._known.get(username or "")
        return bool(account and verify_broker_password(password or "", account.password_hash))

    def may_call_itself(self, username: str | None, client_id: str) -> bool:
        """Say whether the user may have this client id: not when it names somebody else's agent.

        An agent's contains its UUID. Whoever connects with it throws the agent out.
        """
        account = self._known.get(username or "")
        if account is None or account.is_platform:
            return account is not None
        named = self._agents.intersection(map(encode_id, _UUID.findall(client_id)))
        return named <= {_agent_of(account)}

    def is_platform(self, username: str | None) -> bool:
        """Say whether the user may do everything."""
        account = self._known.get(username or "")
        return bool(account and account.is_platform)

    def allows(self, username: str | None, topic: str | None, action: Action) -> bool:
        """Say whether the user may do this with the topic (a filter, when it subscribes)."""
        account = self._known.get(username or "")
        if account is None or not topic:
            return False
        if action is Action.SUBSCRIBE:
            # Taken literally by amqtt, so it would be granted and then deliver nothing.
            return not topic.startswith("$share/") and may_subscribe(account, topic)
        return may(account, topic, write=action is Action.PUBLISH)


def _agent_of(account: BrokerAccount) -> str:
    return account.username.rpartition("/")[2]
