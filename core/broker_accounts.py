"""Who may log in to the MQTT broker, and what each may publish and read.

An agent's user name is `<T>/a/<A>` (tenant and agent id as they stand in topics), so that one
constant pattern file serves every agent: `pattern write i/%u/state` is its own `state` topic.
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
)
"""What an agent may read below `i/<T>/a/<A>/`. No wildcards: a fallback broker compares filters."""

_HASH_ROUNDS = 101  # Mosquitto's own default; the passwords are random, not chosen by people
_ROUNDS_MAX = 1_000_000
_SALT_BYTES = 12
_KEY_BYTES = 64
_USERNAME_BYTES_MAX = 1024
# "%" would be taken for a pattern, ":" ends the name in the password file.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029:+#%]")
_AGENT_NAME = re.compile(r"[^/]+/a/[^/]+")


@dataclass(frozen=True)
class BrokerAccount:
    """One login of the broker. `is_platform` may publish and read everything.

    Raises InvalidInput for a name that could change the meaning of the broker's files, and for an
    agent's name that is not `<T>/a/<A>`: a longer one would lie inside another agent's topics.
    """

    username: str
    password_hash: str
    is_platform: bool = False

    def __post_init__(self) -> None:
        check_broker_username(self.username)
        if not self.is_platform and not _AGENT_NAME.fullmatch(self.username):
            raise InvalidInput("username", "an agent's user name has the form <tenant>/a/<agent>")
        if not self.password_hash or _FORBIDDEN.search(self.password_hash.replace("+", "")):
            raise InvalidInput("passwordHash", "not a password hash")


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
    """Return Mosquitto's `password_file`, sorted by name. Raises InvalidInput on a repeated name."""
    lines: dict[str, str] = {}
    for account in accounts:
        if account.username in lines:
            raise InvalidInput("username", f"{account.username} appears twice")
        lines[account.username] = f"{account.username}:{account.password_hash}\n"
    return "".join(lines[name] for name in sorted(lines))


def render_acl_file(platform_usernames: Iterable[str]) -> str:
    """Return Mosquitto's `acl_file`: patterns for agents, everything for the platform's users."""
    blocks = [f"pattern write i/%u/{suffix}\n" for suffix in AGENT_WRITE]
    blocks += [f"pattern read i/%u/{suffix}\n" for suffix in AGENT_READ]
    for username in sorted(set(platform_usernames)):
        check_broker_username(username)
        blocks.append(f"\nuser {username}\ntopic readwrite #\ntopic read $SYS/#\n")
    return "".join(blocks)


def parse_accounts(password_file: str, acl_file: str) -> list[BrokerAccount]:
    """Read back what the two renderers wrote. Raises InvalidInput on a line that is none of theirs."""
    platform = {
        line.removeprefix("user ") for line in acl_file.splitlines() if line.startswith("user ")
    }
    accounts = []
    for line in password_file.splitlines():
        username, _, password_hash = line.partition(":")
        accounts.append(BrokerAccount(username, password_hash, username in platform))
    return accounts


def may(username: str, is_platform: bool, topic: str, write: bool) -> bool:
    """Say whether a user may publish (or receive) on this topic; a wildcard is never a topic."""
    if not topic or "+" in topic or "#" in topic or "\x00" in topic:
        return False
    if topic.startswith("$"):
        return is_platform and not write and (topic == "$SYS" or topic.startswith("$SYS/"))
    if is_platform:
        return True
    prefix = f"i/{username}/"
    if not topic.startswith(prefix):
        return False
    levels = topic.removeprefix(prefix).split("/")
    return any(_matches(suffix, levels) for suffix in (AGENT_WRITE if write else AGENT_READ))


def may_subscribe(username: str, is_platform: bool, topic_filter: str) -> bool:
    """Say whether everything that a filter can match may be read; `$share/…` only by the platform."""
    if is_platform:
        return bool(topic_filter)
    return may(username, is_platform, topic_filter, write=False)


def _matches(suffix: str, levels: list[str]) -> bool:
    wanted = suffix.split("/")
    return len(wanted) == len(levels) and all(
        w in {"+", have} for w, have in zip(wanted, levels, strict=True)
    )


def _derive(password: str, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, _KEY_BYTES)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
