"""Mosquitto, for workers that speak to a broker."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.broker_accounts import BrokerAccount, hash_broker_password
from fleetgraph.embedded.broker import EmbeddedBroker, find_mosquitto, start_broker
from tests.tools import free_ports, require_program
from workers.mqtt import BrokerEndpoint

PLATFORM = "fleetgraph"
AGENT = "AAAAAAAAAAAAAAAAAAAAAA/a/1111111111111111111111"


def account(username: str, *, is_platform: bool = False) -> BrokerAccount:
    return BrokerAccount(username, hash_broker_password(f"pw-{username}"), is_platform)


ACCOUNTS = [account(PLATFORM, is_platform=True), account(AGENT)]


@pytest.fixture
async def broker() -> AsyncIterator[EmbeddedBroker]:
    if find_mosquitto() is None:
        require_program("mosquitto")
    folder = Path(tempfile.mkdtemp(prefix="fleetgraph-test-"))
    folder.chmod(0o755)
    broker = await start_broker(
        folder / "data",
        host="127.0.0.1",
        port=free_ports(1)[0],
        accounts=ACCOUNTS,
        kind="mosquitto",
        system_root=folder,
    )
    yield broker
    await broker.stop()
    shutil.rmtree(folder)


@pytest.fixture
def endpoint(broker: EmbeddedBroker) -> BrokerEndpoint:
    """Where the broker is, as the platform's user."""
    return BrokerEndpoint("127.0.0.1", broker.port, PLATFORM, f"pw-{PLATFORM}", "ingest-test")
