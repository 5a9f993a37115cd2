"""Provisioning keys that end, and addresses from which too many attempts failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.audit import AuditType
from core.context import Context
from core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    RateLimited,
    Unauthenticated,
)
from core.ids import secret_hash
from core.paging import encode_cursor
from core.rate_limits import RateScope
from fleetgraph.limits import HOUR, CallLimiter, MemoryWindows
from models.fleets import Fleet, FleetType
from models.provisioning import ProvisioningKey
from resolvers import provisioning_keys
from tests.doubles import ManualClock
from tests.factories import make_tenant
from tests.resolvers.edge import Edge, exchange, new_key, register, system
from tests.resolvers.newcomers import audited

FAILURES_MAX = 3
ARGUMENTS = {"agentsMax": "agents_max", "expiresInDays": "expires_in_days"}


class TestKeys:
    async def test_lets_one_agent_in_unless_told_otherwise(self, ctx: Context) -> None:
        made = await provisioning_keys.create_provisioning_key(ctx, description="hall 3")
        assert made.row.agents_max == 1
        assert len(made.key) == 64
        assert int(made.key, 16)
        assert made.row.expires_at - made.row.created_at == timedelta(days=365)
        assert made.row.created_by == ctx.caller.user_id

    async def test_stores_a_digest_only(self, ctx: Context) -> None:
        made = await provisioning_keys.create_provisioning_key(ctx)
        row = await ProvisioningKey.find_row(ctx.tenant_id, id=made.row.id)
        assert bytes(row.key_hash) == secret_hash("provisioning-key", made.key)
        assert made.key not in str(vars(row))

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("agentsMax", 0),
            ("agentsMax", 10_001),
            ("expiresInDays", 0),
            ("expiresInDays", 3_651),
            ("description", "x" * 501),
        ],
    )
    async def test_refuses_what_is_out_of_bounds(
        self, ctx: Context, field: str, value: Any
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            await provisioning_keys.create_provisioning_key(
                ctx, **{ARGUMENTS.get(field, field): value}
            )
        assert caught.value.facts["field"] == field

    async def test_only_the_system_chooses_the_text(self, ctx: Context) -> None:
        with pytest.raises(Forbidden):
            await provisioning_keys.create_provisioning_key(ctx, key="a" * 64)

    async def test_the_same_text_again_is_the_same_key(self, ctx: Context) -> None:
        text = uuid4().hex
        first = await provisioning_keys.create_provisioning_key(
            system(ctx), key=text, agents_max=20
        )
        again = await provisioning_keys.create_provisioning_key(
            system(ctx), key=text, agents_max=20
        )
        assert again.row.id == first.row.id

    async def test_a_text_of_another_tenant_is_a_conflict(self, ctx: Context) -> None:
        text = uuid4().hex
        await provisioning_keys.create_provisioning_key(system(ctx), key=text)
        other = await make_tenant(ctx.clock, ctx.ids)
        stranger = ctx.acting_as(replace(system(ctx).caller, tenant_id=other.id))
        with pytest.raises(Conflict):
            await provisioning_keys.create_provisioning_key(stranger, key=text)

    async def test_pages_show_each_key_once_newest_first(self, ctx: Context) -> None:
        clock = ManualClock(ctx.clock.now())
        ctx = replace(ctx, clock=clock)
        made = []
        for number in range(5):
            made.append((await provisioning_keys.create_provisioning_key(ctx)).row)
            clock.advance(seconds=number % 2)  # some share a moment
        found: list[UUID] = []
        after, more = None, True
        while more:
            page = await provisioning_keys.list_provisioning_keys(ctx, 2, after)
            found += [key.id for key in page.items]
            after, more = page.cursors[-1], page.has_next
        made.sort(key=lambda key: (key.created_at, key.id), reverse=True)
        assert found == [key.id for key in made]

    @pytest.mark.parametrize("after", ["", "x", encode_cursor("1"), encode_cursor(f"{10**30} x")])
    async def test_refuses_what_is_no_cursor(self, ctx: Context, after: str) -> None:
        with pytest.raises(InvalidInput, match="after"):
            await provisioning_keys.list_provisioning_keys(ctx, 2, after)


class Seconds:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def limited(ctx: Context, seconds: Seconds) -> Context:
    """A caller from an address that may fail three times an hour."""
    limits = dict.fromkeys(RateScope, 1_000) | {RateScope.PROVISIONING: FAILURES_MAX}
    hourly = {RateScope.PROVISIONING: MemoryWindows(seconds=HOUR, now=seconds)}
    limiter = CallLimiter(MemoryWindows(), limits, hourly)
    return replace(ctx, limits=limiter, remote_address="203.0.113.7")


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(Unauthenticated):
        yield


async def test_a_revoked_key_lets_nobody_in_and_its_agents_stay(ctx: Context) -> None:
    made = await provisioning_keys.create_provisioning_key(ctx, agents_max=5)
    edge = Edge.make()
    registered = await register(ctx, edge, made.key)
    row = await provisioning_keys.revoke_provisioning_key(ctx, made.row.id, reason="leaked")
    assert (row.is_active, row.revoke_reason, row.revoked_by) == (
        False,
        "leaked",
        ctx.caller.user_id,
    )
    with refused():
        await register(ctx, Edge.make(), made.key)
    await exchange(ctx, edge, registered.challenge)  # it was let in before
    again = await provisioning_keys.revoke_provisioning_key(ctx, made.row.id, reason="twice")
    assert again.revoke_reason == "leaked"
    events = await audited(ctx, f"provisioning-key:{made.row.id}")
    assert [event["event_type"] for event in events] == [
        AuditType.PROVISIONING_KEY_CREATED,
        AuditType.PROVISIONING_KEY_REVOKED,
    ]
    assert made.key not in str(events)


async def test_keys_of_others_are_not_there_to_revoke(ctx: Context) -> None:
    made = await provisioning_keys.create_provisioning_key(ctx)
    other = await make_tenant(ctx.clock, ctx.ids)
    elsewhere = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
    with pytest.raises(NotFound):
        await provisioning_keys.revoke_provisioning_key(elsewhere, made.row.id)
    with pytest.raises(NotFound):
        await provisioning_keys.create_provisioning_key(elsewhere, replaces=made.row.id)
    await register(ctx, Edge.make(), made.key)


@pytest.mark.parametrize("reason", ["x" * 501, "a\x00b"])
async def test_a_reason_is_bounded(ctx: Context, reason: str) -> None:
    made = await provisioning_keys.create_provisioning_key(ctx)
    with pytest.raises(InvalidInput, match="reason"):
        await provisioning_keys.revoke_provisioning_key(ctx, made.row.id, reason=reason)


async def test_a_key_that_replaces_another_ends_it(ctx: Context) -> None:
    old = await provisioning_keys.create_provisioning_key(ctx)
    new = await provisioning_keys.create_provisioning_key(ctx, replaces=old.row.id)
    with refused():
        await register(ctx, Edge.make(), old.key)
    await register(ctx, Edge.make(), new.key)


async def test_lists_are_narrowed_to_a_fleet_and_to_what_still_lets_agents_in(
    ctx: Context,
) -> None:
    now = ctx.clock.now()
    fleet = await Fleet.create(
        id=ctx.ids.uuid(),
        tenant_id=ctx.tenant_id,
        name="presses",
        type=next(iter(FleetType)),
        created_at=now,
        updated_at=now,
    )
    mine = await provisioning_keys.create_provisioning_key(ctx, fleet_uuid=fleet.id)
    used = await provisioning_keys.create_provisioning_key(ctx)
    await register(ctx, Edge.make(), used.key)
    ended = await provisioning_keys.create_provisioning_key(ctx, expires_in_days=1)
    revoked = await provisioning_keys.create_provisioning_key(ctx)
    await provisioning_keys.revoke_provisioning_key(ctx, revoked.row.id)
    later = replace(ctx, clock=ManualClock(now + timedelta(days=2)))
    usable = await provisioning_keys.list_provisioning_keys(later, only_usable=True)
    assert [row.id for row in usable.items] == [mine.row.id]
    of_fleet = await provisioning_keys.list_provisioning_keys(ctx, fleet_uuid=fleet.id)
    assert [row.id for row in of_fleet.items] == [mine.row.id]
    everything = await provisioning_keys.list_provisioning_keys(ctx)
    assert {mine.row.id, used.row.id, ended.row.id, revoked.row.id} == {
        row.id for row in everything.items
    }


async def test_an_address_that_failed_too_often_registers_nobody_for_an_hour(
    limited: Context, seconds: Seconds
) -> None:
    key = await new_key(limited, agents_max=9)
    for _ in range(FAILURES_MAX):
        with refused():
            await register(limited, Edge.make(), "wrong")
    with pytest.raises(RateLimited, match="failed attempts") as caught:
        await register(limited, Edge.make(), key)
    assert 3_590 < int(str(caught.value.facts["retry_after_seconds"])) <= HOUR
    elsewhere = replace(limited, remote_address="203.0.113.8")
    await register(elsewhere, Edge.make(), key)
    seconds.now += HOUR + 1
    await register(limited, Edge.make(), key)


async def test_what_succeeds_is_not_counted(limited: Context) -> None:
    key = await new_key(limited, agents_max=9)
    for _ in range(FAILURES_MAX * 2):
        await register(limited, Edge.make(), key)


async def test_a_used_up_key_counts_as_a_failure(limited: Context) -> None:
    key = await new_key(limited)
    await register(limited, Edge.make(), key)
    for _ in range(FAILURES_MAX):
        with pytest.raises(LimitReached):
            await register(limited, Edge.make(), key)
    with pytest.raises(RateLimited):
        await register(limited, Edge.make(), key)


async def test_a_blocked_address_may_still_finish_what_it_began(limited: Context) -> None:
    edge = Edge.make()
    registered = await register(limited, edge)
    for _ in range(FAILURES_MAX):
        with refused():
            await register(limited, Edge.make(), "wrong")
    # Refused here, an agent would never come back: it has registered, and has no challenge.
    await exchange(limited, edge, registered.challenge)
