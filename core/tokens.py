"""Access tokens: short-lived JWTs, issued and verified here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import jwt
from jwt.utils import base64url_decode, base64url_encode

from core.clock import Clock
from core.errors import Unauthenticated
from core.ids import RandomIds
from core.token_keys import TokenKeys

ISSUER = "fleetgraph"
AUDIENCE = "fleetgraph"
TOKEN_CHARS_MAX = 4096
SKEW_SECONDS = 60
"""How far ahead the clock of another replica may be."""
VERIFIED_MAX = 10_000
"""Tokens whose signature was checked lately; checking costs ten times what all else here does."""

_INVALID = "The access token is not valid"
_UNREADABLE = (KeyError, ValueError, TypeError, OverflowError, OSError, RecursionError)
"""What reading claims raises that are not what they should be; OSError is of dates too far off."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified token says; the role is read from the database, never from here."""

    user_id: UUID
    tenant_id: int
    session_id: UUID
    issued_at: datetime
    expires_at: datetime


class Tokens:
    """Issues and verifies access tokens with a secret of at least 32 bytes, or with key pairs."""

    def __init__(self, keys: TokenKeys | str, clock: Clock, *, ttl_seconds: int = 900) -> None:
        self._keys = TokenKeys.of_secret(keys) if isinstance(keys, str) else keys
        self._clock = clock
        self._ids = RandomIds()
        self.ttl_seconds = ttl_seconds
        self._read = lru_cache(VERIFIED_MAX)(self._checked)

    def issue(
        self,
        user_id: UUID,
        tenant_id: int,
        session_id: UUID,
        *,
        not_after: datetime | None = None,
    ) -> tuple[str, datetime]:
        """Return a signed access token and when it ends: never later than `not_after`."""
        now = self._clock.now()
        expires = now + timedelta(seconds=self.ttl_seconds)
        if not_after is not None:
            expires = min(expires, not_after)
        claims = {
            "sub": str(user_id),
            "sid": str(session_id),
            "tenant": tenant_id,
            "type": "access",
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": expires,
            "jti": self._ids.secret(12),
        }
        keys = self._keys
        headers = None if keys.signing_kid is None else {"kid": keys.signing_kid}
        return jwt.encode(claims, keys.signing, algorithm=keys.algorithm, headers=headers), expires

    def verify(self, token: str) -> AccessToken:
        """Return what `token` says, or raise Unauthenticated."""
        if len(token) > TOKEN_CHARS_MAX:
            raise Unauthenticated(_INVALID)
        found = self._read(token)
        # Times are held against our own clock, so that tests and leap years agree with it.
        now = self._clock.now()
        if found.expires_at <= now:
            raise Unauthenticated("The access token has expired", expired=True)
        if found.issued_at > now + timedelta(seconds=SKEW_SECONDS):
            raise Unauthenticated(_INVALID)
        return found

    def published_keys(self) -> list[dict[str, Any]]:
        """Return the public keys as JSON Web Keys; none when a secret signs."""
        return self._keys.published()

    def _checked(self, token: str) -> AccessToken:
        try:
            return self._decoded(token)
        except (*_UNREADABLE, jwt.PyJWTError):
            raise Unauthenticated(_INVALID) from None

    def _decoded(self, token: str) -> AccessToken:
        signature = token.rpartition(".")[2].encode()
        if base64url_encode(base64url_decode(signature)) != signature:
            raise ValueError("a signature has one spelling")
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(
            token,
            self._keys.verifying[header.get("kid")],
            algorithms=[self._keys.algorithm],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={
                "require": ["exp", "iat", "sub", "sid", "aud", "iss"],
                "verify_exp": False,
                "verify_iat": False,
            },
        )
        if claims.get("type") != "access":
            raise ValueError("another kind of token")
        return AccessToken(
            UUID(claims["sub"]),
            int(claims["tenant"]),
            UUID(claims["sid"]),
            datetime.fromtimestamp(int(claims["iat"]), UTC),
            datetime.fromtimestamp(int(claims["exp"]), UTC),
        )
