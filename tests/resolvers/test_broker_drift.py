"""The broker's copy of the accounts against the database, with real files."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from core import metrics
from core.broker_accounts import BrokerAccount, hash_broker_password
from core.broker_drift import Drift, DriftKind
from core.callers import Role, system_caller
from core.context import Context
from core.errors import InvalidInput
from core.events import BROKER
from core.gateways import NoBrokerDriver
from core.paging import encode_cursor
from fleetgraph.broker_files import BrokerFiles
from models import broker_drift as rows
from models.connection import fetch
from models.mqtt_accounts import MqttAccount
from models.tenants import first_tenant
from resolvers.broker_drift import (
    Agreement,
    agree_with_broker,
    list_broker_drift,
    note_broker_obedience,
)
from tests.doubles import RecordingBus

PLATFORM = BrokerAccount("fleetgraph", hash_broker_password("x", b"salt"), is_platform=True)


@pytest.fixture
def system(ctx: Context) -> Context:
    return ctx.acting_as(system_caller(0))


@pytest.fixture
def driver(tmp_path: Path) -> BrokerFiles:
    return BrokerFiles(tmp_path)


async def account(ctx: Context) -> MqttAccount:
    now = ctx.clock.now()
    return await MqttAccount.create(
        tenant_id=ctx.tenant_id,
        username=f"{ctx.ids.uuid().hex[:22]}/a/{ctx.ids.uuid().hex[:22]}",
        password_hash=hash_broker_password("x"),
        created_at=now,
        updated_at=now,
    )


async def agree(system: Context, driver: BrokerFiles, last: Agreement | None = None) -> Agreement:
    agreed = await agree_with_broker(system, driver, [PLATFORM], last)
    assert agreed is not None
    return agreed


async def told(ctx: Context) -> list[tuple[str, str]]:
    found = await list_broker_drift(ctx, 50)
    return [(drift.kind, drift.subject) for drift in found.page.items]


def names(folder: Path) -> list[str]:
    lines = (folder / "passwords").read_text().splitlines()
    return [line.partition(":")[0] for line in lines]


def drop_line(folder: Path, username: str) -> None:
    path = folder / "passwords"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(f"{username}:")))


async def test_changes_of_ours_are_no_drift(
    ctx: Context, system: Context, driver: BrokerFiles, tmp_path: Path
) -> None:
    first = await agree(system, driver)
    row = await account(ctx)
    second = await agree(system, driver, first)
    assert row.username in names(tmp_path)
    assert first.mark != second.mark
    assert first.canary.password != second.canary.password
    row.is_active = False
    await row.save()
    later = BrokerFiles(tmp_path)  # another start; nothing is remembered but the mark
    assert (await agree(system, later)).mark == first.mark
    assert row.username not in names(tmp_path)
    assert await told(ctx) == []


@pytest.mark.parametrize("remembers", [True, False], ids=["the same program", "a later start"])
async def test_a_hand_edit_is_repaired_recorded_and_told(
    ctx: Context,
    system: Context,
    driver: BrokerFiles,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    remembers: bool,
) -> None:
    caplog.set_level(logging.WARNING)
    row = await account(ctx)
    last = await agree(system, driver)
    drop_line(tmp_path, row.username)
    counted = metrics.BROKER_DRIFT.labels("account_missing")._value.get()
    if remembers:
        await agree(system, driver, last)
    else:
        await agree(system, BrokerFiles(tmp_path))
    assert row.username in names(tmp_path)
    assert await told(ctx) == [("account_missing", row.username)]
    found = (await list_broker_drift(ctx, 50)).page.items[0]
    assert found.repaired_at == found.found_at
    assert metrics.BROKER_DRIFT.labels("account_missing")._value.get() == counted + 1
    assert row.username in caplog.text
    assert "$7$" not in caplog.text
    bus = ctx.bus
    assert isinstance(bus, RecordingBus)
    assert [name for name, _ in bus.published] == [BROKER.name]
    events = await fetch(
        "select severity, details::text from audit_event"
        " where tenant_id = $1 and event_type = 'broker_drift_found'",
        ctx.tenant_id,
    )
    assert [event["severity"] for event in events] == ["warning"]
    assert row.username in events[0]["details"]
    await agree(system, driver, last)
    assert len(await told(ctx)) == 1, "told once"


async def test_two_programs_with_one_folder_agree(
    ctx: Context, system: Context, driver: BrokerFiles, tmp_path: Path
) -> None:
    other = BrokerFiles(tmp_path)
    last = await agree(system, driver)
    await agree(system, other)
    await account(ctx)
    newest = await agree(system, other)
    written = (tmp_path / "passwords").stat().st_mtime_ns
    again = await agree(system, driver, last)
    assert (again.mark, again.canary.password) == (newest.mark, newest.canary.password)
    assert (tmp_path / "passwords").stat().st_mtime_ns == written
    assert await told(ctx) == []


async def test_only_the_owner_of_the_installation_sees_the_platforms_own(
    ctx: Context, system: Context, driver: BrokerFiles, tmp_path: Path
) -> None:
    first = await first_tenant()
    assert first is not None
    await agree(system, driver)
    (tmp_path / "acl").unlink()
    await agree(system, driver)
    installation = replace(ctx.caller, tenant_id=first.id)
    assert ("file_lost", "acl") in await told(ctx.acting_as(installation))
    operator = replace(installation, role=Role.OPERATOR)
    assert ("file_lost", "acl") not in await told(ctx.acting_as(operator))
    assert await told(ctx) == []


async def test_the_newest_are_kept_and_paged(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ROWS_MAX", 5)
    for number in range(8):
        drift = Drift(DriftKind.RULES_DIFFER, f"a{number}")
        await rows.add_drifts(ctx.tenant_id, [drift], ctx.clock.now(), None)
    first = (await list_broker_drift(ctx, 3)).page
    assert [drift.subject for drift in first.items] == ["a7", "a6", "a5"]
    assert (first.total, first.has_next) == (5, True)
    last = (await list_broker_drift(ctx, 3, first.cursors[-1])).page
    assert [drift.subject for drift in last.items] == ["a4", "a3"]
    assert not last.has_next
    with pytest.raises(InvalidInput):
        await list_broker_drift(ctx, 3, encode_cursor("what"))


async def test_tells_whether_the_broker_obeys(
    ctx: Context, system: Context, driver: BrokerFiles
) -> None:
    await fetch("delete from broker_copy")
    assert not (await list_broker_drift(ctx, 1)).is_in_sync
    await agree(system, driver)
    found = await list_broker_drift(ctx, 1)
    assert found.is_in_sync
    assert found.checked_at is not None
    for _ in range(2):
        await note_broker_obedience(system, driver.place, obeys=False)
    assert not (await list_broker_drift(ctx, 1)).is_in_sync
    lasting = await fetch(
        "select repaired_at from broker_drift where tenant_id = 0 and subject = $1", driver.place
    )
    assert [row["repaired_at"] for row in lasting] == [None]
    await note_broker_obedience(system, driver.place, obeys=True)
    assert (await list_broker_drift(ctx, 1)).is_in_sync
    lasting = await fetch("select repaired_at from broker_drift where subject = $1", driver.place)
    assert lasting[0]["repaired_at"] is not None


async def test_nothing_is_done_where_there_is_no_copy(system: Context) -> None:
    assert await agree_with_broker(system, NoBrokerDriver(), [PLATFORM]) is None
