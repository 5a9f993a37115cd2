"""Whether callers who were let in some time ago would be let in now, just as they were."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby
from operator import attrgetter

from core.access import PASSWORD_ONLY, Permission, allow
from core.callers import Caller
from core.context import Context
from models.standing import find_standing_device_keys, find_standing_keys
from models.unit_of_work import database_errors
from models.users import Standing, find_standings

BATCH = 500


@allow(Permission.SYSTEM)
async def find_fallen(ctx: Context, callers: Collection[Caller]) -> set[Caller]:
    """Return those of the people, API keys and agents that are gone, or may do something else."""
    fallen: set[Caller] = set()
    with database_errors():
        for tenant_id, batch in _batches(callers):
            fallen |= await _fallen_people(ctx, tenant_id, [c for c in batch if c.session_id])
            fallen |= await _fallen_keys(ctx, tenant_id, [c for c in batch if c.api_key_id])
            fallen |= await _fallen_agents(tenant_id, [c for c in batch if c.device_key_id])
    return fallen


def _batches(callers: Collection[Caller]) -> Iterator[tuple[int, list[Caller]]]:
    tenant_of = attrgetter("tenant_id")
    for tenant_id, same in groupby(sorted(callers, key=tenant_of), tenant_of):
        members = list(same)
        for start in range(0, len(members), BATCH):
            yield tenant_id, members[start : start + BATCH]


async def _fallen_people(ctx: Context, tenant_id: int, callers: list[Caller]) -> set[Caller]:
    if not callers:
        return set()
    people = [(c.user_id, c.session_id) for c in callers if c.user_id and c.session_id]
    found = await find_standings(tenant_id, people)
    return {
        caller
        for caller, key in zip(callers, people, strict=True)
        if not _stands(ctx, caller, found.get(key))
    }


def _stands(ctx: Context, caller: Caller, standing: Standing | None) -> bool:
    if standing is None or not standing.is_active or standing.session_ended:
        return False
    scopes = PASSWORD_ONLY if standing.must_change_password else None
    is_same = (standing.role, scopes) == (caller.role, caller.scopes)
    return is_same and standing.session_expires_at > ctx.clock.now()


async def _fallen_keys(ctx: Context, tenant_id: int, callers: list[Caller]) -> set[Caller]:
    ids = [caller.api_key_id for caller in callers if caller.api_key_id]
    found = await find_standing_keys(tenant_id, ids, ctx.clock.now()) if ids else {}
    return {c for c in callers if c.api_key_id and found.get(c.api_key_id) is not c.role}


async def _fallen_agents(tenant_id: int, callers: list[Caller]) -> set[Caller]:
    ids = [caller.device_key_id for caller in callers if caller.device_key_id]
    found = await find_standing_device_keys(tenant_id, ids) if ids else {}
    return {
        caller
        for caller, id_ in zip(callers, ids, strict=True)
        if found.get(id_) is not caller.device_key_superseded
    }
