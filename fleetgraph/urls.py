"""Addresses of the servers we use, checked and taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from models.database import DatabaseUrl


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """The parts of an mqtt:// or mqtts:// URL."""

    host: str
    port: int
    username: str
    password: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> BrokerUrl:
        """Return the parts; raises ValueError in words an operator understands."""
        parts = urlsplit(url)
        if parts.scheme not in {"mqtt", "mqtts"}:
            raise ValueError("a broker URL starts with mqtt:// or mqtts://")
        if not parts.hostname:
            raise ValueError("a broker URL names a host: mqtt://host:1883")
        if not parts.username:
            raise ValueError("a broker URL names a user: mqtt://user:password@host:1883")
        tls = parts.scheme == "mqtts"
        port = parts.port or (8883 if tls else 1883)
        return cls(
            parts.hostname, port, unquote(parts.username), unquote(parts.password or ""), tls
        )


def check_database_url(url: SecretStr) -> SecretStr:
    """Return `url` if it can be used."""
    DatabaseUrl.parse(url.get_secret_value())
    return url


def check_broker_url(url: SecretStr) -> SecretStr:
    """Return `url` if it can be used."""
    BrokerUrl.parse(url.get_secret_value())
    return url


def check_redis_url(url: SecretStr) -> SecretStr:
    """Return `url` if it can be used."""
    if urlsplit(url.get_secret_value()).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("a Redis URL starts with redis://, rediss:// or unix://")
    return url
