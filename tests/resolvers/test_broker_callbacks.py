"""What a broker's plugin is answered: right away, from memory, and while the database is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from core.broker_accounts import BrokerAccount, hash_broker_password
from core.context import Context
from core.errors import RateLimited, Unavailable
from core.rate_limits import NoRateLimits, RateScope, RateState
from models.mqtt_accounts import MqttAccount, find_active_account
from resolvers import broker_accounts, broker_callbacks, broker_roles
from resolvers.broker_accounts import AccountChanges
from resolvers.broker_callbacks import (
    KnownAccounts,
    check_login,
    check_superuser,
    check_topic,
)
from resolvers.broker_roles import LineOwner
from tests.doubles import ManualClock
from tests.resolvers.broker_people import PASSWORD, a_name, another, make, named, topics
from tests.resolvers.edge import provision, system

PLATFORM = BrokerAccount("fleetgraph", hash_broker_password("its own"), is_platform=True)


@pytest.fixture
async def mine(ctx: Context) -> Context:
    """The context of an owner of a tenant that is not the first."""
    return await another(ctx)


@pytest.fixture
def broker(ctx: Context, clock: ManualClock) -> Context:
    """The context in which a broker's questions are answered, by a clock that can be moved."""
    return replace(system(ctx), clock=clock)


@pytest.fixture
def known() -> KnownAccounts:
    """What the process remembers: nothing yet, and its own account."""
    return KnownAccounts([PLATFORM])


class Away:
    """Counts what is read, and stands for a database that is away when told to."""

    def __init__(self) -> None:
        self.is_away = False
        self.reads = 0
        self.read: Callable[[str], Awaitable[Any]] = find_active_account

    async def __call__(self, username: str) -> Any:
        self.reads += 1
        if self.is_away:
            raise ConnectionRefusedError
        return await self.read(username)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Away:
    """The way to the database, to be watched and cut."""
    away = Away()
    monkeypatch.setattr(broker_callbacks, "find_active_account", away)
    return away


async def deactivate(ctx: Context, name: str) -> None:
    await broker_accounts.update_account(ctx, named(name), AccountChanges(is_active=False))


async def test_lets_in_who_has_the_password(
    mine: Context, broker: Context, known: KnownAccounts
) -> None:
    name = await make(mine)
    assert await check_login(broker, known, name, PASSWORD)
    assert not await check_login(broker, known, name, PASSWORD + "x")
    assert not await check_login(broker, known, name + "x", PASSWORD)
    for name_, password in (("", PASSWORD), (name, ""), ("\x00", "x"), (name, "\ud800")):
        assert not await check_login(broker, known, name_, password)


async def test_knows_the_platforms_own_account_without_the_database(
    broker: Context, known: KnownAccounts, database: Away
) -> None:
    database.is_away = True
    assert await check_login(broker, known, "fleetgraph", "its own")
    assert not await check_login(broker, known, "fleetgraph", "another")
    assert await check_superuser(broker, known, "fleetgraph")
    assert await check_topic(broker, known, "fleetgraph", "i/x/a/y/agent/update", 2)


@pytest.mark.parametrize(
    ("topic", "access", "granted"),
    [
        ("read", 1, True),
        ("read", 4, True),
        ("read", 5, True),
        ("read", 2, False),
        ("read", 3, False),
        ("write", 2, True),
        ("write", 1, False),
        ("write", 4, False),
        ("both/x", 7, True),
        ("both/#", 4, True),
        ("both/+/x", 1, True),
        ("both/#", 2, False),
        ("#", 4, False),
        ("+", 1, False),
        ("", 1, False),
        ("read", 0, False),
        ("read", 8, False),
        ("read", -1, False),
    ],
)
async def test_says_what_the_lines_say(
    mine: Context, broker: Context, known: KnownAccounts, topic: str, access: int, granted: bool
) -> None:
    root, name = await topics(mine), await make(mine)
    for line, bits in (("read", 1), ("write", 2), ("both/#", 3)):
        await broker_roles.create_line(mine, LineOwner(named(name)), f"{root}/{line}", bits)
    assert await check_topic(broker, known, name, f"{root}/{topic}", access) is granted
    assert not await check_superuser(broker, known, name)


async def test_agents_have_the_rights_of_their_names(
    mine: Context, broker: Context, known: KnownAccounts
) -> None:
    await provision(mine)
    (row,) = await MqttAccount.of(mine.tenant_id)
    assert await check_topic(broker, known, row.username, f"i/{row.username}/state", 2)
    assert await check_topic(broker, known, row.username, f"i/{row.username}/agent/update", 5)
    assert not await check_topic(broker, known, row.username, f"i/{row.username}/agent/update", 2)
    assert not await check_topic(broker, known, row.username, f"i/{row.username}/#", 4)
    assert not await check_topic(broker, known, row.username, "$share/g/i/x", 4)


async def test_asks_the_database_once_in_half_a_minute(
    mine: Context, broker: Context, known: KnownAccounts, database: Away, clock: ManualClock
) -> None:
    name = await make(mine)
    for _ in range(3):
        assert await check_login(broker, known, name, PASSWORD)
        assert not await check_superuser(broker, known, name)
    assert database.reads == 1
    await deactivate(mine, name)
    clock.advance(seconds=26)
    assert await check_login(broker, known, name, PASSWORD)
    clock.advance(seconds=8)
    assert not await check_login(broker, known, name, PASSWORD)
    assert database.reads == 2
    clock.advance(seconds=4)
    assert not await check_login(broker, known, name, PASSWORD)
    assert database.reads == 2
    clock.advance(seconds=2)
    assert not await check_login(broker, known, name, PASSWORD)
    assert database.reads == 3


async def test_a_change_is_seen_at_once_when_it_is_told(
    mine: Context, broker: Context, known: KnownAccounts
) -> None:
    name = await make(mine)
    root = await topics(mine)
    line = await broker_roles.create_line(mine, LineOwner(named(name)), f"{root}/x", 1)
    assert await check_login(broker, known, name, PASSWORD)
    assert await check_topic(broker, known, name, f"{root}/x", 1)
    await broker_roles.delete_line(mine, line.id)
    known.forget()
    assert not await check_topic(broker, known, name, f"{root}/x", 1)
    await deactivate(mine, name)
    known.forget()
    assert not await check_login(broker, known, name, PASSWORD)


async def test_what_was_read_before_a_change_is_not_remembered_after_it(
    mine: Context, broker: Context, known: KnownAccounts, database: Away
) -> None:
    name = await make(mine)
    read = database.read

    async def slow(username: str) -> Any:
        row = await read(username)
        await deactivate(mine, name)
        known.forget()  # the event of it
        return row

    database.read = slow
    assert await check_login(broker, known, name, PASSWORD)
    database.read = read
    assert not await check_login(broker, known, name, PASSWORD)


async def test_a_deactivated_agent_is_refused_although_its_account_is_not(
    mine: Context, broker: Context, known: KnownAccounts
) -> None:
    _, agent = await provision(mine)
    (row,) = await MqttAccount.of(mine.tenant_id)
    topic = f"i/{row.username}/state"
    assert await check_topic(broker, known, row.username, topic, 2)
    agent.is_active = False
    await agent.save()
    known.forget()
    assert not await check_topic(broker, known, row.username, topic, 2)


async def test_an_account_outlives_the_database_by_five_minutes(
    mine: Context, broker: Context, known: KnownAccounts, database: Away, clock: ManualClock
) -> None:
    name = await make(mine)
    assert await check_login(broker, known, name, PASSWORD)
    database.is_away = True
    clock.advance(seconds=290)
    assert await check_login(broker, known, name, PASSWORD)
    assert not await check_login(broker, known, name, "wrong")
    clock.advance(seconds=11)
    with pytest.raises(Unavailable):
        await check_login(broker, known, name, PASSWORD)
    database.is_away = False
    clock.advance(seconds=2)
    assert await check_login(broker, known, name, PASSWORD)


async def test_nobody_is_refused_because_nobody_knows(
    broker: Context, known: KnownAccounts, database: Away
) -> None:
    database.is_away = True
    for _ in range(5):
        with pytest.raises(Unavailable):
            await check_topic(broker, known, "whoever", "x", 1)
    assert database.reads == 1, "it is left alone for a moment"


async def test_an_end_that_was_told_is_one_although_the_database_is_away(
    mine: Context, broker: Context, known: KnownAccounts, database: Away
) -> None:
    name = await make(mine)
    assert await check_login(broker, known, name, PASSWORD)
    known.forget()
    database.is_away = True
    with pytest.raises(Unavailable):
        await check_login(broker, known, name, PASSWORD)


class ThreeOfEach(NoRateLimits):
    """Lets each key through three times."""

    def __init__(self) -> None:
        self.counted: list[str] = []

    async def hit(self, scope: RateScope, *keys: str) -> RateState | None:
        assert scope is RateScope.AUTH
        for key in keys:
            if self.counted.count(key) >= 3:
                raise RateLimited("too often", retry_after_seconds=9)
            self.counted.append(key)
        return None


async def test_guessing_ends_soon_and_locks_nobody_out(
    mine: Context, broker: Context, known: KnownAccounts
) -> None:
    broker = replace(broker, limits=ThreeOfEach())
    name, other = await make(mine), await make(mine)
    assert await check_login(broker, known, name, PASSWORD)
    for number in range(2):
        assert not await check_login(broker, known, name, f"guess {number}")
    for guess in ("guess 3", "guess 4"):
        with pytest.raises(RateLimited):
            await check_login(broker, known, name, guess)
    known.forget()
    assert await check_login(broker, known, name, PASSWORD), "its own client is not in the way"
    assert await check_login(broker, known, other, PASSWORD)
    await broker_accounts.update_account(mine, named(name), AccountChanges("rivet lamp shed"))
    known.forget()
    with pytest.raises(RateLimited):
        await check_login(broker, known, name, PASSWORD)


async def test_guessing_does_not_tell_which_names_there_are(
    mine: Context, broker: Context, known: KnownAccounts
) -> None:
    broker = replace(broker, limits=ThreeOfEach())
    for name in (await make(mine), f"{a_name(mine)}-not"):
        for number in range(3):
            assert not await check_login(broker, known, name, f"guess {number}")
        with pytest.raises(RateLimited):
            await check_login(broker, known, name, "guess 4")


async def test_remembers_no_more_than_it_may(
    mine: Context, broker: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_callbacks, "ACCOUNTS_MAX", 2)
    monkeypatch.setattr(broker_callbacks, "UNKNOWN_MAX", 2)
    known = KnownAccounts()
    names = [await make(mine) for _ in range(3)]
    for name in names:
        assert await check_login(broker, known, name, PASSWORD)
        assert not await check_superuser(broker, known, f"un{name}")
        assert len(known._known) <= 2
        assert len(known._unknown._entries) <= 2
