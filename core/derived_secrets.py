"""Secrets that can be made again from one master secret, so that they need not be stored."""

from __future__ import annotations

import base64
import hashlib
import hmac


class DerivedSecrets:
    """Derives one secret per purpose and subject.

    An agent that repeats its registration must get the same broker password, even when the first
    answer arrives late; a derived password is the same each time and is kept nowhere in clear.
    """

    def __init__(self, master: str) -> None:
        if len(master.encode()) < 32:
            raise ValueError("the master secret must have at least 32 bytes")
        self._master = master.encode()

    def derive(self, purpose: str, *subject: object) -> str:
        """Return 43 characters of base64url that nobody without the master secret can guess."""
        text = "\x1f".join([purpose, *map(str, subject)])
        digest = hmac.new(self._master, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
