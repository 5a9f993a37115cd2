"""The broker's accounts are the database's: at the start, when poked, and when they were touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from core.broker_accounts import BrokerAccount, hash_broker_password
from core.broker_canary import CANARY_USER
from core.broker_drift import Drift
from core.callers import system_caller
from core.context import Context
from core.errors import Unavailable
from core.events import ACCESS, BROKER_ACCOUNTS, AccessChanged, BrokerAccountsChanged
from core.gateways import BrokerDriver
from fleetgraph.broker_files import BrokerFiles
from fleetgraph.embedded.broker import EmbeddedBroker, start_broker
from fleetgraph.embedded.processes import command_line
from models.connection import fetch
from models.mqtt_accounts import MqttAccount
from resolvers.broker_drift import agree_with_broker, list_accounts_of_broker
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import until
from tests.workers.conftest import ACCOUNTS
from workers import broker_accounts
from workers.broker_accounts import BrokerAccounts
from workers.mqtt import BrokerEndpoint

pytestmark = pytest.mark.slow

PLATFORM = BrokerAccount("fleetgraph", hash_broker_password("x"), is_platform=True)


class Driver:
    def __init__(self, place: str) -> None:
        self.place = place
        self.applied: list[set[str]] = []

    async def inspect(self, accounts: Sequence[BrokerAccount], mark: str | None) -> list[Drift]:
        return []

    async def apply(self, accounts: Sequence[BrokerAccount]) -> str:
        assert accounts[0] is PLATFORM
        self.applied.append({account.username for account in accounts})
        return str(len(self.applied))

    def was_touched(self) -> bool:
        return False


@asynccontextmanager
async def working(
    ctx: Context,
    driver: BrokerDriver,
    platform: Sequence[BrokerAccount] = (PLATFORM,),
    endpoint: BrokerEndpoint | None = None,
) -> AsyncIterator[None]:
    worker = BrokerAccounts(ctx.acting_as(system_caller(0)), driver, platform, endpoint)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def driver(ctx: Context) -> AsyncIterator[Driver]:
    """A driver that a worker keeps informed."""
    driver = Driver(str(ctx.ids.uuid()))
    async with working(ctx, driver):
        await until(lambda: driver.applied, "the first accounts")
        yield driver


async def new_account(ctx: Context) -> MqttAccount:
    now = ctx.clock.now()
    return await MqttAccount.create(
        tenant_id=ctx.tenant_id,
        username=f"{ctx.ids.uuid().hex[:22]}/a/{ctx.ids.uuid().hex[:22]}",
        password_hash=hash_broker_password("x"),
        created_at=now,
        updated_at=now,
    )


async def poke(ctx: Context) -> None:
    await ctx.bus.publish(BROKER_ACCOUNTS, BrokerAccountsChanged())


async def test_a_new_account_reaches_the_broker_when_poked(ctx: Context, driver: Driver) -> None:
    row = await new_account(ctx)
    assert row.username not in driver.applied[-1]
    await poke(ctx)
    await until(lambda: row.username in driver.applied[-1], "the account", seconds=5)


async def test_an_account_that_was_closed_leaves_the_broker(ctx: Context, driver: Driver) -> None:
    row = await new_account(ctx)
    await poke(ctx)
    await until(lambda: row.username in driver.applied[-1], "the account", seconds=5)
    row.is_active = False
    await row.save()
    # Somebody was locked out: the reconciler need not be told that it was an account.
    await ctx.bus.publish(ACCESS, AccessChanged(ctx.tenant_id, agent_id=1))
    await until(lambda: row.username not in driver.applied[-1], "its end", seconds=5)


async def test_every_poke_counts(ctx: Context, driver: Driver) -> None:
    for _ in range(3):
        row = await new_account(ctx)
        await poke(ctx)
        await until(
            lambda name=row.username: name in driver.applied[-1],  # type: ignore[misc, arg-type]  # a default
            "the account",
            seconds=5,
        )


async def test_people_who_sign_out_are_no_reason(ctx: Context, driver: Driver) -> None:
    applied = len(driver.applied)
    for _ in range(3):
        await ctx.bus.publish(ACCESS, AccessChanged(ctx.tenant_id, user_id=ctx.ids.uuid()))
    row = await new_account(ctx)
    await poke(ctx)
    await until(lambda: row.username in driver.applied[-1], "the account", seconds=5)
    assert len(driver.applied) == applied + 1


async def test_looks_by_itself_when_a_poke_is_lost(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_accounts, "PERIOD_SECONDS", 0.05)
    driver = Driver(str(ctx.ids.uuid()))
    async with working(ctx, driver):
        await until(lambda: driver.applied, "the first accounts")
        row = await new_account(ctx)
        await until(lambda: row.username in driver.applied[-1], "the account", seconds=5)


def drop_lines(path: Path) -> None:
    path.write_text("")


EDITS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a lost file": ("acl", Path.unlink),
    "an edited file": ("passwords", drop_lines),
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_SECONDS", "APART_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(broker_accounts, name, 0.05)


@pytest.mark.parametrize("edit", EDITS)
async def test_files_that_were_touched_heal_without_a_poke(
    ctx: Context, tmp_path: Path, quick: None, edit: str
) -> None:
    name, change = EDITS[edit]
    async with working(ctx, BrokerFiles(tmp_path)):
        await until((tmp_path / "passwords").exists, "the files")
        before = (tmp_path / name).read_text()
        change(tmp_path / name)
        await until(
            lambda: (tmp_path / name).exists() and (tmp_path / name).read_text() == before,
            "the old file",
            seconds=10,
        )


async def test_files_heal_while_the_database_is_away_and_are_told_of_later(
    ctx: Context, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await new_account(ctx)
    is_away = False

    async def agree(*args: object) -> object:
        if is_away:
            raise Unavailable("database")
        return await agree_with_broker(*args)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(broker_accounts, "agree_with_broker", agree)
    path = tmp_path / "passwords"
    async with working(ctx, BrokerFiles(tmp_path)):
        await until(path.exists, "the files")
        is_away = True
        drop_lines(path)
        await until(lambda: row.username in path.read_text(), "the account", seconds=10)
        is_away = False

        async def recorded() -> bool:
            found = await fetch("select kind from broker_drift where tenant_id = $1", ctx.tenant_id)
            return [each["kind"] for each in found] == ["account_missing"]

        await until(recorded, "the record", seconds=10)


@pytest.mark.slow
async def test_a_new_account_logs_in_and_a_removed_one_is_cut_off(
    ctx: Context, broker: EmbeddedBroker, endpoint: BrokerEndpoint
) -> None:
    async with working(ctx, broker, ACCOUNTS[:1], endpoint):
        row = await new_account(ctx)
        await poke(ctx)
        agent = MqttClient(broker.port, "agent", row.username, "x")

        async def welcome() -> bool:
            return await agent.connect() == 0

        await until(welcome, "the login", seconds=10)
        staying = MqttClient(broker.port, "staying", ACCOUNTS[0].username, endpoint.password)
        assert await staying.connect() == 0
        await row.delete()
        await poke(ctx)
        await asyncio.wait_for(agent.closed.wait(), 10)
        assert not staying.closed.is_set()
        await staying.close()
        await agent.close(politely=False)


@pytest.mark.slow
async def test_a_broker_that_does_not_read_its_files_is_told(
    ctx: Context,
    tmp_path: Path,
    quick: None,
    broker: EmbeddedBroker,
    endpoint: BrokerEndpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its files are right, and nobody told it so, as when a container's watcher has ended."""
    monkeypatch.setattr(broker_accounts, "OBEY_SECONDS", 0.2)
    driver = BrokerFiles(tmp_path)

    async def lasting() -> list[bool]:
        found = await fetch(
            "select repaired_at from broker_drift where subject = $1 and kind = $2",
            driver.place,
            "broker_not_reloaded",
        )
        return [each["repaired_at"] is None for each in found]

    async with working(ctx, driver, ACCOUNTS[:1], replace(endpoint, mqtt5=False)):

        async def told() -> bool:
            return await lasting() == [True]

        await until(told, "the drift", seconds=10)
        canary = next(
            line
            for line in (tmp_path / "passwords").read_text().splitlines()
            if line.startswith(CANARY_USER)
        )
        name, _, password_hash = canary.partition(":")
        await broker.apply([*ACCOUNTS, BrokerAccount(name, password_hash)])

        async def over() -> bool:
            return await lasting() == [False]

        await until(over, "its end", seconds=10)


@pytest.mark.slow
async def test_an_old_copy_after_a_restart_is_told_and_never_served(
    ctx: Context, broker: EmbeddedBroker
) -> None:
    """Somebody restores yesterday's files while the broker is down."""
    system = ctx.acting_as(system_caller(0))
    gone, row = await new_account(ctx), await new_account(ctx)
    last = await agree_with_broker(system, broker, ACCOUNTS[:1])
    assert broker.pid is not None
    folder = Path(command_line(broker.pid)[-1]).parent
    old = {name: (folder / name).read_text() for name in ("acl", "passwords")}
    await gone.delete()
    newer = await new_account(ctx)
    assert await agree_with_broker(system, broker, ACCOUNTS[:1], last) is not None
    await broker.stop()
    for name, text in old.items():
        (folder / name).write_text(text)
    accounts, _ = await list_accounts_of_broker(system, ACCOUNTS[:1])
    data_dir = Path(broker.place.partition(" ")[2])
    again = await start_broker(
        data_dir,
        host="127.0.0.1",
        port=broker.port,
        accounts=accounts,
        kind="mosquitto",
        system_root=data_dir.parent,
    )
    try:
        assert await MqttClient(broker.port, "gone", gone.username, "x").connect() in {4, 5}
        for each in (row, newer):
            client = MqttClient(broker.port, "kept", each.username, "x")
            assert await client.connect() == 0
            await client.close()
        with pytest.raises(Unavailable):  # the stopped one leaves the files to the new one
            await agree_with_broker(system, broker, ACCOUNTS[:1])
        with pytest.raises(Unavailable):
            await broker.apply(ACCOUNTS)
        for _ in range(2):
            await agree_with_broker(system, again, ACCOUNTS[:1])
    finally:
        await again.stop()
    found = await fetch(
        "select kind, subject from broker_drift where subject = any($1)",
        [gone.username, row.username, newer.username],
    )
    assert sorted((each["kind"], each["subject"]) for each in found) == [
        ("account_missing", newer.username),
        ("account_unknown", gone.username),
    ]
