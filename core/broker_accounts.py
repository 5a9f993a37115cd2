"""Who may log in to the MQTT broker, and what each may publish and read.

An agent's user name is `<T>/a/<A>` (tenant and agent id as they stand in topics), so that one
constant pattern file serves every agent: `pattern write i/%u/state` is its own `state` topic.
All other accounts have lines of their own, and nothing from the patterns, which Mosquitto applies
to every name: below `i/<their name>/` they are denied everything.
The same rules exist twice on purpose: as Mosquitto's files, and as `may` for a broker that asks.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import InvalidInput
from core.topic_filters import check_filter, covers

AGENT_WRITE = (
    "state",
    "metrics",
    "endpoints/+",
    "agent/status",
    "agent/broker",
    "agent/shell-output",
    "meta/dictionary",
    "meta/dictionary/delta",
    "events/+",
    "jobs/+/update",
    "jobs/start-next",
)
"""What an agent may publish below `i/<T>/a/<A>/`. Never a topic that it obeys itself."""

AGENT_READ = (
    "agent/update",
    "target-state",
    "jobs/notify-next",
    "jobs/start-next/accepted",
    "jobs/start-next/rejected",
    "d/+",
)
"""What an agent may read below `i/<T>/a/<A>/`; `d/<endpoint>` is what its own sensors publish."""

_HASH_ROUNDS = 101  # Mosquitto's own default; the passwords are random, not chosen by people
_ROUNDS_MAX = 1_000_000
_SALT_BYTES = 12
_KEY_BYTES = 64
_USERNAME_BYTES_MAX = 1024
# "%" would be taken for a pattern, ":" ends the name in the password file.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029:+#%]")
_AGENT_NAME = re.compile(r"[^/]+/a/[^/]+")
_OTHER_NAME = re.compile(r"[^/]+(/d/[^/]+)?")


@dataclass(frozen=True, slots=True)
class AclRule:
    """What an account may do on the topics of a filter; who may read may also subscribe.

    Raises InvalidInput for what is no filter, and for one that controls the broker.
    """

    topic: str
    read: bool
    write: bool

    def __post_init__(self) -> None:
        check_filter(self.topic)
        levels = self.topic.split("/")
        if levels[0].startswith("$") and (levels[0] != "$SYS" or self.write):
            raise InvalidInput("topic", "of those that begin with $, only $SYS may be read")

    @property
    def words(self) -> str:
        """How Mosquitto calls it: `read`, `write` or `readwrite`; empty when it grants nothing."""
        return ("read" if self.read else "") + ("write" if self.write else "")


_PLATFORM_RULES = (AclRule("#", read=True, write=True), AclRule("$SYS/#", read=True, write=False))


@dataclass(frozen=True)
class BrokerAccount:
    """One login of the broker. `is_platform` may publish and read everything.

    An agent's name is `<T>/a/<A>` and gives it its rules; a sensor's is `<T>/d/<endpoint>`, all
    others are of one level. Those have `rules`. Raises InvalidInput for any other name (it might
    lie inside the topics of an agent), and for one that could change the meaning of the broker's
    files.
    """

    username: str
    password_hash: str
    is_platform: bool = False
    rules: tuple[AclRule, ...] = ()

    def __post_init__(self) -> None:
        check_broker_username(self.username)
        if not self.is_platform and not (self.is_agent or _OTHER_NAME.fullmatch(self.username)):
            raise InvalidInput("username", "has the form <tenant>/a/<agent>, or no slash at all")
        if self.rules and (self.is_agent or self.is_platform):
            raise InvalidInput("rules", "follow from the name of this account")
        if not self.password_hash or _FORBIDDEN.search(self.password_hash.replace("+", "")):
            raise InvalidInput("passwordHash", "not a password hash")

    @property
    def is_agent(self) -> bool:
        """Whether the name is an agent's."""
        return _AGENT_NAME.fullmatch(self.username) is not None


def check_broker_username(username: str) -> None:
    """Raise InvalidInput when the name has white space, control characters, `:`, `+`, `#` or `%`."""
    if not username or len(username.encode()) > _USERNAME_BYTES_MAX:
        raise InvalidInput("username", f"must have 1 to {_USERNAME_BYTES_MAX} bytes")
    if _FORBIDDEN.search(username):
        raise InvalidInput("username", "must not contain white space or any of : + # %")


def hash_broker_password(password: str, salt: bytes | None = None) -> str:
    """Return the password in Mosquitto's `$7$` form (PBKDF2 with SHA-512, salted)."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    key = _derive(password, salt, _HASH_ROUNDS)
    return f"$7${_HASH_ROUNDS}${_base64(salt)}${_base64(key)}"


def verify_broker_password(password: str, password_hash: str) -> bool:
    """Say whether the password belongs to the hash; anything that is no such hash is False."""
    parts = password_hash.split("$")
    if len(parts) != 5 or parts[0] or parts[1] != "7" or not parts[2].isdecimal():
        return False
    rounds = int(parts[2])
    try:
        salt, key = (base64.b64decode(part, validate=True) for part in parts[3:])
    except ValueError:
        return False
    if not 1 <= rounds <= _ROUNDS_MAX:
        return False
    return hmac.compare_digest(_derive(password, salt, rounds), key)


def render_password_file(accounts: Iterable[BrokerAccount]) -> str:
    """Return Mosquitto's `password_file`, sorted by name; the first account of a name counts."""
    return "".join(f"{a.username}:{a.password_hash}\n" for a in _by_name(accounts))


def render_acl_file(accounts: Iterable[BrokerAccount]) -> str:
    """Return Mosquitto's `acl_file`: patterns for agents, then a block for each other account."""
    lines = [f"pattern write i/%u/{suffix}\n" for suffix in AGENT_WRITE]
    lines += [f"pattern read i/%u/{suffix}\n" for suffix in AGENT_READ]
    for account in _by_name(accounts):
        if account.is_agent and not account.is_platform:
            continue
        lines.append(f"\nuser {account.username}\n")
        if not account.is_platform:
            lines.append(f"topic deny {_pattern_topics(account)}\n")
        lines += [f"topic {r.words} {r.topic}\n" for r in _own_rules(account) if r.words]
    return "".join(lines)


def parse_accounts(password_file: str, acl_file: str) -> list[BrokerAccount]:
    """Read back what the two renderers wrote. Raises InvalidInput on a line that is none of theirs."""
    rules: dict[str, list[AclRule]] = {}
    denied: set[str] = set()
    username = ""
    for line in acl_file.splitlines():
        kind, _, rest = line.partition(" ")
        words, _, topic = rest.partition(" ")
        if kind == "user":
            username = rest
            rules[username] = []
        elif kind == "topic" and words == "deny":
            denied.add(username)
        elif kind == "topic" and username:
            rules[username].append(AclRule(topic, "read" in words, "write" in words))
        elif kind not in {"pattern", ""}:
            raise InvalidInput("acl", f"no line of ours: {line[:80]!r}")
    accounts = []
    for line in password_file.splitlines():
        username, _, password_hash = line.partition(":")
        is_platform = username in rules and username not in denied
        own = () if is_platform else tuple(rules.get(username, ()))
        accounts.append(BrokerAccount(username, password_hash, is_platform, own))
    return accounts


def may(account: BrokerAccount, topic: str, *, write: bool) -> bool:
    """Say whether an account may publish (or receive) on this topic; a wildcard is never a topic."""
    if not topic or "+" in topic or "#" in topic or "\x00" in topic:
        return False
    return _granted(account, topic, write=write)


def may_subscribe(account: BrokerAccount, topic_filter: str) -> bool:
    """Say whether everything that a filter can match may be read; `$share/…` only by the platform."""
    if account.is_platform:
        return bool(topic_filter)
    return bool(topic_filter) and _granted(account, topic_filter, write=False)


def _granted(account: BrokerAccount, wanted: str, *, write: bool) -> bool:
    if account.is_agent and not account.is_platform:
        prefix = f"i/{account.username}/"
        rest = wanted.removeprefix(prefix)
        suffixes = AGENT_WRITE if write else AGENT_READ
        return wanted.startswith(prefix) and any(covers(suffix, rest) for suffix in suffixes)
    if not account.is_platform and covers(_pattern_topics(account), wanted):
        return False
    return any(
        covers(rule.topic, wanted)
        for rule in _own_rules(account)
        if (rule.write if write else rule.read)
    )


def _own_rules(account: BrokerAccount) -> tuple[AclRule, ...]:
    return _PLATFORM_RULES if account.is_platform else account.rules


def _pattern_topics(account: BrokerAccount) -> str:
    return f"i/{account.username}/#"


def _by_name(accounts: Iterable[BrokerAccount]) -> list[BrokerAccount]:
    found: dict[str, BrokerAccount] = {}
    for account in accounts:
        found.setdefault(account.username, account)
    return [found[name] for name in sorted(found)]


def _derive(password: str, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, _KEY_BYTES)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
