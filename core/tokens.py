"""Access tokens: short-lived JWTs, issued and verified here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

import jwt

from core.clock import Clock
from core.errors import Unauthenticated

ISSUER = "fleetgraph"
AUDIENCE = "fleetgraph"
TOKEN_CHARS_MAX = 4096
VERIFIED_MAX = 10_000
"""Tokens whose signature was checked lately; checking costs ten times what all else here does."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified token says; the role is read from the database, never from here."""

    user_id: UUID
    tenant_id: int
    expires_at: datetime


class Tokens:
    """Issues and verifies HS256 access tokens with one secret of at least 32 bytes."""

    def __init__(self, secret: str, clock: Clock, *, ttl_seconds: int = 900) -> None:
        if len(secret.encode()) < 32:
            raise ValueError("the token secret must have at least 32 bytes")
        self._secret = secret
        self._clock = clock
        self.ttl_seconds = ttl_seconds
        self._read = lru_cache(VERIFIED_MAX)(self._checked)

    def issue(self, user_id: UUID, tenant_id: int) -> tuple[str, datetime]:
        """Return a signed access token and when it ends."""
        now = self._clock.now()
        expires = now + timedelta(seconds=self.ttl_seconds)
        claims = {
            "sub": str(user_id),
            "tenant": tenant_id,
            "type": "access",
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": expires,
        }
        return jwt.encode(claims, self._secret, algorithm="HS256"), expires

    def verify(self, token: str) -> AccessToken:
        """Return what `token` says, or raise Unauthenticated."""
        if len(token) > TOKEN_CHARS_MAX:
            raise Unauthenticated("The access token is not valid")
        found = self._read(token)
        # Expiry is held against our own clock, so that tests and leap years agree with it.
        if found.expires_at <= self._clock.now():
            raise Unauthenticated("The access token has expired", expired=True)
        return found

    def _checked(self, token: str) -> AccessToken:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={
                    "require": ["exp", "iat", "sub", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            expires = datetime.fromtimestamp(int(claims["exp"]), UTC)
            found = AccessToken(UUID(claims["sub"]), int(claims["tenant"]), expires)
        except (jwt.PyJWTError, KeyError, ValueError, TypeError):
            raise Unauthenticated("The access token is not valid") from None
        if claims.get("type") != "access":
            raise Unauthenticated("The access token is not valid")
        return found
