"""Open, migrate and close the database: Tortoise for rows, one asyncpg pool for readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
from tortoise import Tortoise, connections
from tortoise.migrations.executor import MigrationExecutor

from models.fence import OPEN, FencedConnection, UnlockedConnection, fenced
from models.roles import prepare_role
from models.timeseries.retention import forget_foreign_journal

ROW_MODULES = [
    "models.agent_traffic",
    "models.broker_status",
    "models.tenants",
    "models.users",
    "models.agents",
    "models.device_keys",
    "models.provisioning",
    "models.target_states",
    "models.current_states",
    "models.agent_events",
    "models.mqtt_accounts",
    "models.mqtt_roles",
    "models.heartbeats",
    "models.sessions",
    "models.api_keys",
    "models.invitations",
    "models.fleets",
    "models.agent_updates",
]
COMMAND_SECONDS_MAX = 10.0
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_MIGRATION_LOCK = 0x666C6565  # "flee": one program migrates, the others wait


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The parts of a postgresql:// URL; `host` may be a socket folder."""

    host: str
    port: int
    user: str
    password: str
    database: str
    sslmode: str | None = None

    @classmethod
    def parse(cls, url: str) -> DatabaseUrl:
        """Return the parts of `url`; raises ValueError in words an operator understands."""
        parts = urlsplit(url)
        if parts.scheme not in {"postgresql", "postgres"}:
            raise ValueError("a database URL starts with postgresql://")
        query = parse_qs(parts.query)
        unknown = sorted(set(query) - {"host", "port", "sslmode"})
        if unknown:
            raise ValueError(f"a database URL knows host, port and sslmode, not {unknown[0]}")
        database = unquote(parts.path.lstrip("/"))
        host = query.get("host", [parts.hostname or "localhost"])[0]
        port = int(query.get("port", [parts.port or 5432])[0])
        if not database:
            raise ValueError("a database URL names a database: postgresql://host/NAME")
        sslmode = query.get("sslmode", [None])[0]
        if sslmode is not None and sslmode not in _SSL_MODES:
            raise ValueError(f"sslmode is one of {', '.join(_SSL_MODES)}")
        return cls(
            host,
            port,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            database,
            sslmode,
        )

    def arguments(self) -> dict[str, Any]:
        """Return keyword arguments for asyncpg."""
        arguments: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user or None,
            "password": self.password or None,
            "database": self.database,
        }
        return arguments if self.sslmode is None else arguments | {"ssl": self.sslmode}


def tortoise_config(url: DatabaseUrl, *, pool_size: int = 8) -> dict[str, Any]:
    """Return the Tortoise configuration for the control plane's rows."""
    return {
        "connections": {
            "default": {
                "engine": "tortoise.backends.asyncpg",
                "credentials": url.arguments()
                | {
                    "min_size": 1,
                    "max_size": pool_size,
                    "server_settings": _SERVER_SETTINGS,
                    # A server that hangs must look like one that is away: agents wait 30 s.
                    "timeout": COMMAND_SECONDS_MAX,
                    "command_timeout": COMMAND_SECONDS_MAX,
                }
                | fenced(FencedConnection),
            }
        },
        "apps": {
            "models": {
                "models": ROW_MODULES,
                "default_connection": "default",
                "migrations": "models.migrations",
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }


_SERVER_SETTINGS: Mapping[str, str] = {"application_name": "fleetgraph", "timezone": "UTC"}


async def open_rows(url: DatabaseUrl, *, pool_size: int = 8) -> None:
    """Connect Tortoise for this process and prove that the database answers."""
    await Tortoise.init(
        config=tortoise_config(url, pool_size=pool_size), _enable_global_fallback=True
    )
    await connections.get("default").execute_query("select 1")


async def close_rows() -> None:
    """Release Tortoise's connections."""
    await Tortoise.close_connections()


async def open_pool(url: DatabaseUrl, *, min_size: int = 1, max_size: int = 4) -> asyncpg.Pool:
    """Open the pool for readings, apart from the rows' so that neither starves the other."""
    pool = await asyncpg.create_pool(
        **url.arguments(),
        min_size=min_size,
        max_size=max_size,
        server_settings=dict(_SERVER_SETTINGS),
        command_timeout=60,
        **fenced(UnlockedConnection),
    )
    assert pool is not None
    return pool


async def migrate(url: DatabaseUrl) -> list[str]:
    """Bring the schema up to date; returns what was applied. Safe to run from many programs."""
    await Tortoise.init(config=tortoise_config(url, pool_size=2))
    lock = await asyncpg.connect(**url.arguments(), server_settings=OPEN)
    applied: list[str] = []

    def note(event: str, _app: str, name: str) -> None:
        if event == "apply_done":
            applied.append(name)

    try:
        await lock.execute("select pg_advisory_lock($1)", _MIGRATION_LOCK)
        await prepare_role(lock)
        executor = MigrationExecutor(connections.get("default"), tortoise_config(url)["apps"])
        await executor.migrate(progress=note)
        if await forget_foreign_journal(lock):
            applied.append("emptied the journal of another server")
    finally:
        await lock.close()
        await Tortoise.close_connections()
    return applied
