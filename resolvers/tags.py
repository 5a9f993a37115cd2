"""Tags of agents: set on one or on many, and what there is to choose from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.audit import AuditEntry, AuditType
from core.context import Context
from core.errors import InvalidInput, NotFound
from core.events import AgentChanged, agents_topic
from core.paging import page_size
from core.rate_limits import RateScope
from core.selectors import Selector
from core.tags import KEY_CHARS_MAX, TAGS_MAX, VALUE_CHARS_MAX, checked_keys, checked_tags
from models import register
from models.agent_lists import AgentFilter, conditions_of
from models.agents import Agent, lock_agent
from models.conditions import Conditions
from models.register import UUIDS_TOLD_MAX, TagChange
from models.unit_of_work import database_errors, unit_of_work

__all__ = ["TagChange"]

UUIDS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class AgentSelection:
    """Agents that meet all that is given; at least one of the three is."""

    uuids: Sequence[UUID] | None = None
    selector: Selector | None = None
    fleet_id: UUID | None = None

    def conditions(self, tenant_id: int) -> Conditions:
        """Return the same for a statement; raises InvalidInput."""
        if self.uuids is None and self.selector is None and self.fleet_id is None:
            raise InvalidInput("select", "needs uuids, a selector or a fleet")
        wanted = AgentFilter(selector=self.selector, fleet_id=self.fleet_id)
        where = conditions_of(tenant_id, wanted)
        if self.uuids is not None:
            if len(self.uuids) > UUIDS_MAX:
                raise InvalidInput(
                    "select.uuids", f"must have at most {UUIDS_MAX} items", limit=UUIDS_MAX
                )
            where.add("uuid = any({})", list(self.uuids))
        return where

    def __str__(self) -> str:
        """Return it in few words, for the record."""
        parts = [] if self.uuids is None else [f"{len(self.uuids)} uuids"]
        parts += [f"fleet {self.fleet_id}"] if self.fleet_id else []
        return "; ".join([*parts, *([str(self.selector)] if self.selector else [])])


@dataclass(frozen=True, slots=True)
class TagCount:
    """A key or a value, and how many agents have it."""

    text: str
    agents: int


@allow(Permission.DEVICE_WRITE)
async def set_tags(ctx: Context, uuid: UUID, put: object, remove: Collection[str] = ()) -> Agent:
    """Set tags of an agent and take keys off; other tags stay, also those others set meanwhile."""
    tags, keys = _checked_change(put, remove)
    return await _changed(
        ctx, uuid, lambda held: {k: v for k, v in held.items() if k not in keys} | tags
    )


@allow(Permission.DEVICE_WRITE)
async def remove_tag(ctx: Context, uuid: UUID, key: str) -> Agent:
    """Take one tag off an agent. Raises NotFound when it does not have it."""
    checked_keys([key], "key")

    def without(held: dict[str, str]) -> dict[str, str]:
        if key not in held:
            raise NotFound("tag", key)
        return {k: v for k, v in held.items() if k != key}

    return await _changed(ctx, uuid, without)


@allow(Permission.DEVICE_WRITE)
async def replace_tags(ctx: Context, uuid: UUID, tags: object) -> Agent:
    """Give an agent these tags and no others."""
    wanted = checked_tags(tags)
    return await _changed(ctx, uuid, lambda _: wanted)


@allow(Permission.DEVICE_WRITE, limit=RateScope.ADMIN)
async def change_tags(
    ctx: Context,
    select: AgentSelection,
    put: object,
    remove: Collection[str] = (),
    *,
    dry_run: bool = False,
) -> TagChange:
    """Set tags of many agents and take keys off; all of it or, on an error, nothing.

    `dry_run` only tells what would change. Raises InvalidInput when one would have too many.
    """
    tags, keys = _checked_change(put, remove)
    where = select.conditions(ctx.tenant_id)
    async with unit_of_work(ctx) as work:
        found = await register.change_tags(where, tags, keys, ctx.clock.now(), dry_run=dry_run)
        _check_number(found.tags_most)
        if dry_run or not found.changed:
            return found
        topic = agents_topic(ctx.tenant_id)
        told: Sequence[UUID | None] = found.uuids if found.changed <= UUIDS_TOLD_MAX else [None]
        for uuid in told:
            work.emit(topic, AgentChanged(ctx.tenant_id, uuid))
        work.record(
            AuditEntry(
                AuditType.DEVICE_TAGS_CHANGED,
                f"agents:{select}"[:200],
                after={"set": tags, "removed": keys},
                details={
                    "matched": found.matched,
                    "changed": found.changed,
                    "agents": [str(uuid) for uuid in found.uuids],
                },
            )
        )
    return found


@allow(Permission.DEVICE_READ)
async def list_tag_keys(ctx: Context, prefix: str = "", first: int = 500) -> list[TagCount]:
    """Return the keys in use that begin with `prefix`, by key."""
    _check_prefix(prefix)
    with database_errors():
        found = await register.count_tag_keys(ctx.tenant_id, prefix, page_size(first))
    return [TagCount(*each) for each in found]


@allow(Permission.DEVICE_READ)
async def list_tag_values(
    ctx: Context, key: str, prefix: str = "", first: int = 500
) -> list[TagCount]:
    """Return the values of a key that begin with `prefix`, by value."""
    checked_keys([key], "key")
    _check_prefix(prefix)
    with database_errors():
        found = await register.count_tag_values(ctx.tenant_id, key, prefix, page_size(first))
    return [TagCount(*each) for each in found]


async def _changed(
    ctx: Context, uuid: UUID, change: Callable[[dict[str, str]], dict[str, str]]
) -> Agent:
    """Change tags under the lock of the agent's row."""
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, uuid)
        before = agent.tags
        agent.tags = change(before)
        _check_number(len(agent.tags))
        if agent.tags == before:
            return agent
        agent.changed_at = ctx.clock.now()
        await agent.save(update_fields=["tags", "changed_at"])
        work.emit(agents_topic(ctx.tenant_id), AgentChanged(ctx.tenant_id, uuid))
        work.record(
            AuditEntry(
                AuditType.DEVICE_TAGS_CHANGED,
                f"agent:{uuid}",
                before={"tags": before},
                after={"tags": agent.tags},
                agent_uuid=uuid,
            )
        )
    return agent


def _checked_change(put: object, remove: Collection[str]) -> tuple[dict[str, str], list[str]]:
    tags, keys = checked_tags(put, "set"), checked_keys(remove, "remove")
    if both := sorted(tags.keys() & set(keys)):
        raise InvalidInput("remove", f"{both[0]} cannot be set and removed at once")
    if not tags and not keys:
        raise InvalidInput("set", "there is nothing to set and nothing to remove")
    return tags, keys


def _check_number(number: int) -> None:
    if number > TAGS_MAX:
        raise InvalidInput("set", f"an agent has at most {TAGS_MAX} tags", limit=TAGS_MAX)


def _check_prefix(prefix: str) -> None:
    if len(prefix) > max(KEY_CHARS_MAX, VALUE_CHARS_MAX) or "\x00" in prefix:
        raise InvalidInput("prefix", f"must have at most {VALUE_CHARS_MAX} characters and no NUL")
