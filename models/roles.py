"""The ordinary role of a database whose login is none.

PostgreSQL's superusers, and roles with BYPASSRLS, see through row-level security. With such a login
the program acts as `fleetgraph_app`, which owns the tables.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import asyncpg

from core.errors import Conflict

_log = logging.getLogger(__name__)

APP_ROLE: Final = "fleetgraph_app"

_SEES_ALL = "select rolsuper or rolbypassrls from pg_roles where rolname = session_user"
_ROLE = f"""
do $$ begin
    create role {APP_ROLE} nologin nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then null;
end $$;
grant {APP_ROLE} to session_user;
grant usage, create on schema public to {APP_ROLE};
do $$ begin
    execute format('grant connect, create, temporary on database %I to {APP_ROLE}',
                   current_database());
end $$;
"""
_OURS = """
select c.oid::regclass::text as name, c.relkind::text as kind
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'S')
  and c.relowner = (select oid from pg_roles where rolname = session_user)
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                  and d.objid = c.oid  -- of an extension, or a column's own sequence
                  and (d.deptype = 'e' or c.relkind = 'S' and d.deptype in ('a', 'i')))
order by 1
"""


async def prepare_role(connection: Any) -> bool:
    """Make the ordinary role and give it the program's tables; False when the login is ordinary.

    `connection` has not taken another role yet. Raises Conflict for a login that bypasses row-level
    security and may not make roles: nothing works unfenced.
    """
    if not await connection.fetchval(_SEES_ALL):
        return False
    try:
        async with connection.transaction():
            await _hand_over(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise Conflict(
            f"The database login bypasses row-level security and cannot prepare the role {APP_ROLE}"
            f" to work under instead ({error}). Use a login without BYPASSRLS."
        ) from None
    _log.info("the database login sees all rows; working as %s, which does not", APP_ROLE)
    return True


async def _hand_over(connection: Any) -> None:
    await connection.execute(_ROLE)
    for row in await connection.fetch(_OURS):
        kind = "sequence" if row["kind"] == "S" else "table"
        # PostgreSQL quoted the name.
        await connection.execute(f"alter {kind} {row['name']} owner to {APP_ROLE}")
