"""Accounts as files for a Mosquitto elsewhere: whole, readable, and touched only when changed."""

from __future__ import annotations

from pathlib import Path

from core.broker_accounts import BrokerAccount, hash_broker_password, parse_accounts
from fleetgraph.broker_files import BrokerFiles

PLATFORM = BrokerAccount("fleetgraph", hash_broker_password("x"), is_platform=True)
AGENT = BrokerAccount("T/a/A", hash_broker_password("y"))


def read(folder: Path) -> list[BrokerAccount]:
    return parse_accounts((folder / "passwords").read_text(), (folder / "acl").read_text())


async def test_holds_exactly_the_accounts(tmp_path: Path) -> None:
    driver = BrokerFiles(tmp_path)
    await driver.apply([PLATFORM, AGENT])
    assert {account.username for account in read(tmp_path)} == {"fleetgraph", "T/a/A"}
    assert [account.username for account in read(tmp_path) if account.is_platform] == ["fleetgraph"]
    await driver.apply([PLATFORM])
    assert read(tmp_path) == [PLATFORM]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acl", "passwords"]


async def test_another_account_may_read_them(tmp_path: Path) -> None:
    await BrokerFiles(tmp_path).apply([PLATFORM])
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


async def test_files_that_are_right_are_left_alone(tmp_path: Path) -> None:
    await BrokerFiles(tmp_path).apply([PLATFORM, AGENT])
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    await BrokerFiles(tmp_path).apply([AGENT, PLATFORM])
    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == before


async def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    await BrokerFiles(tmp_path).apply([PLATFORM])
    with (tmp_path / "passwords").open() as reader:
        await BrokerFiles(tmp_path).apply([PLATFORM, AGENT])
        assert reader.read().count("\n") == 1, "who had it open goes on with the old one"
    assert len(read(tmp_path)) == 2
