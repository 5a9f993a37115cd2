"""Secrets out of values that are kept: by the name they stand under, and by how they look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

MASK: Final = "***"
DEPTH_MAX: Final = 32
TEXT_CHARS_MAX: Final = 2_000
NAME_CHARS_MAX: Final = 200
CUT: Final = "…"

_WHOLE_WORDS: Final = frozenset(
    {
        *("auth", "bearer", "cookie", "creds", "cred", "dsn", "jwt", "key", "keys", "pass", "pem"),
        *("pin", "private", "psk", "pwd", "salt", "signature", "community"),
    }
)
_ANYWHERE: Final = (
    *("password", "passwd", "passphrase", "passcode", "secret", "token", "credential"),
    *("authorization", "apikey", "accesskey", "privatekey", "connectionstring"),
)
_HARMLESS_ENDS: Final = frozenset(
    {
        *("algorithm", "at", "count", "days", "description", "expired", "expires", "hours", "id"),
        *("ids", "kind", "limit", "max", "min", "minutes", "name", "names", "number", "prefix"),
        *("scopes", "seconds", "type", "types", "used", "uuid", "uuids", "version"),
    }
)
"""`key_id`, `tokenExpiresAt`: about a secret, and none. A password's name makes no exception."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_USER_IN_URL: Final = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_PRIVATE_PEM: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*-----|\Z)", re.DOTALL
)
_BEARER: Final = re.compile(r"\b(Bearer|Basic)\s+[\w.+/=~-]{8,}", re.IGNORECASE)
_BEARER_MASKED: Final = rf"\1 {MASK}"
_ASSIGNED: Final = re.compile(
    r"([A-Za-z_][\w.-]{0,99})(\s?[=:]\s?)(\"[^\"]*\"|'[^']*'|[^\s&;,\"']+)"
)
_PAIR_NAMES: Final = ("name", "Name")
_PAIR_VALUES: Final = ("value", "Value")


@lru_cache(4_096)  # names of members, which come again and again
def names_secret(name: str) -> bool:
    """Whether what stands under `name` is to be kept from readers."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words:
        return False
    joined = "".join(words)
    if "password" in joined or "passwd" in joined:
        return words[-1] not in {"at", "changed", "count"}
    if words[-1] in _HARMLESS_ENDS:
        return False
    return not _WHOLE_WORDS.isdisjoint(words) or any(part in joined for part in _ANYWHERE)


def masked(value: object) -> object:
    """Return `value` with every secret replaced by `***`; what has no JSON becomes text.

    A secret is what stands under a name that says so, in objects, in `name`/`value` pairs and in
    `NAME=value`; a user in a URL; a private key; a bearer credential. True, false and null stay:
    whether there is a secret may be told. Texts and depth are bounded.
    """
    return _masked(value, 0)


def shown_name(name: str) -> str:
    """Return how `masked` shows the name of a member."""
    return _masked_text(clean_text(name, NAME_CHARS_MAX))


def _masked(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if depth >= DEPTH_MAX:
        return CUT
    if isinstance(value, Mapping):
        return _masked_object(value, depth)
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(each, depth + 1) for each in value]
    return _masked_text(clean_text(str(value), TEXT_CHARS_MAX))


def _masked_object(value: Mapping[object, object], depth: int) -> dict[str, object]:
    is_pair = any(names_secret(str(value.get(name, ""))) for name in _PAIR_NAMES)
    result: dict[str, object] = {}
    for key, member in value.items():
        name = clean_text(str(key), NAME_CHARS_MAX)
        is_secret = names_secret(name) or (is_pair and name in _PAIR_VALUES)
        is_told = member is None or isinstance(member, bool) or not is_secret
        result[_masked_text(name)] = _masked(member, depth + 1) if is_told else MASK
    return result


def _masked_text(text: str) -> str:
    if text.isalnum():
        return text
    text = _PRIVATE_PEM.sub(MASK, text)
    if "://" in text:
        text = _USER_IN_URL.sub(MASK, text)
    text = _BEARER.sub(_BEARER_MASKED, text)
    if "=" in text or ":" in text:
        text = _ASSIGNED.sub(_masked_assignment, text)
    return text


def _masked_assignment(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{MASK}" if names_secret(found[1]) else found[0]


def clean_text(text: str, chars_max: int) -> str:
    """Return the text as PostgreSQL keeps it: no NUL, no half characters, not too long."""
    if not text.isascii() or "\x00" in text:
        text = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return text if len(text) <= chars_max else text[: chars_max - 1] + CUT
