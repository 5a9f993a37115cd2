"""New identities and secrets, behind an interface, so that tests can count instead."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final, Protocol
from uuid import UUID

from uuid_utils.compat import uuid7

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._:/+=@-]")
_CHARS_MAX: Final = 128


class Ids(Protocol):
    """Makes identities and secrets."""

    def uuid(self) -> UUID:
        """Return a new time-ordered UUID."""
        ...

    def secret(self, nbytes: int = 32) -> str:
        """Return `nbytes` of randomness as base64url text without padding."""
        ...

    def secret_hex(self, nbytes: int = 32) -> str:
        """Return `nbytes` of randomness as lower-case hex."""
        ...


class RandomIds:
    """Identities from the operating system's randomness."""

    def uuid(self) -> UUID:
        """Return a new UUID of version 7."""
        return uuid7()

    def secret(self, nbytes: int = 32) -> str:
        """Return `nbytes` of randomness as base64url text without padding."""
        return secrets.token_urlsafe(nbytes)

    def secret_hex(self, nbytes: int = 32) -> str:
        """Return `nbytes` of randomness as lower-case hex."""
        return secrets.token_hex(nbytes)


def clean_id(text: str) -> str:
    """Return a stranger's id as it may stand in logs and headers; empty if nothing is left."""
    return _UNSAFE.sub("", text)[:_CHARS_MAX]


def secret_hash(purpose: str, secret: str) -> bytes:
    """Return the digest under which a high-entropy secret is stored and looked up.

    Machine secrets carry 128 bits or more, so a plain SHA-256 is enough and can be an index;
    `purpose` keeps one kind of secret from standing in for another.
    """
    return hashlib.sha256(f"{purpose}:{secret}".encode()).digest()
