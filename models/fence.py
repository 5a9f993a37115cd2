"""The fence in the database: connections that tell PostgreSQL which tenant they work for.

Row-level security (models/migrations/0007_fences.py) compares `tenant_id` with the session variable
`fleetgraph.tenant`: a tenant's id, or '0' for the program's own work over all tenants. A connection
on which nothing was set sees no rows. See docs/adr/0014-fence.md.
"""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from core.fence import ALL_TENANTS, fenced_tenant

OPEN: Final = {"fleetgraph.tenant": str(ALL_TENANTS)}
"""Server settings of a single connection that works for all tenants."""

_STEP_DOWN = """
select set_config('role', 'fleetgraph_app', false)
from pg_roles where rolname = current_user and (rolsuper or rolbypassrls)
"""


class FencedConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A pool's connection; remembers which tenant it told PostgreSQL."""

    told: int | None = None

    def get_reset_query(self) -> str:
        """Return no statement: the session keeps its fence, and nothing else changes it."""
        return ""

    async def raise_fence(self) -> None:
        """Tell PostgreSQL the tenant of the running use case, unless it knows.

        Only outside of transactions: one that rolls back would take the variable back as well.
        """
        tenant_id = fenced_tenant.get()
        if tenant_id == self.told:
            return
        assert not self.is_in_transaction()
        self.told = None  # in case the statement fails half-way
        await self.execute(f"set fleetgraph.tenant = '{tenant_id:d}'")
        self.told = tenant_id


class UnlockedConnection(FencedConnection):
    """Gives its advisory locks back with itself."""

    def get_reset_query(self) -> str:
        """Return the one statement that frees what an interrupted task may hold."""
        return "select pg_advisory_unlock_all()"


def fenced(connection_class: type[FencedConnection]) -> dict[str, Any]:
    """Return the arguments that make a pool hand out fenced connections only."""
    return {"connection_class": connection_class, "init": _step_down, "setup": _raise_fence}


async def _step_down(connection: Any) -> None:
    """Act as an ordinary role if the login is one for which row-level security does not hold."""
    await connection.execute(_STEP_DOWN)


async def _raise_fence(connection: Any) -> None:
    """Run at every acquire, in the context of who acquires."""
    await connection.raise_fence()
