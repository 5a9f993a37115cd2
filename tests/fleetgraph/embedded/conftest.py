from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from core.broker_accounts import BrokerAccount, hash_broker_password
from fleetgraph.embedded.broker import BrokerKind, EmbeddedBroker, find_mosquitto, start_broker
from fleetgraph.embedded.ports import find_free_port
from tests.fleetgraph.embedded.mqtt_client import MqttClient

TENANT = "AAAAAAAAAAAAAAAAAAAAAA"
ONE = f"{TENANT}/a/1111111111111111111111"
TWO = f"{TENANT}/a/2222222222222222222222"
PLATFORM = "fleetgraph-platform"


def account(username: str, *, is_platform: bool = False) -> BrokerAccount:
    return BrokerAccount(username, hash_broker_password(f"pw-{username}"), is_platform)


ACCOUNTS = [account(PLATFORM, is_platform=True), account(ONE), account(TWO)]


@pytest.fixture(scope="module")
def system_root() -> Iterator[Path]:
    """Stand in for /var/lib/fleetgraph: pytest's own folders are closed to other accounts."""
    path = Path(tempfile.mkdtemp(prefix="fleetgraph-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


Start = Callable[..., Awaitable[EmbeddedBroker]]


@pytest.fixture
async def start(tmp_path: Path, system_root: Path) -> AsyncIterator[Start]:
    """Start brokers that are stopped at the end of the test."""
    running: list[EmbeddedBroker] = []

    async def start_one(
        kind: BrokerKind, accounts: Sequence[BrokerAccount] = ACCOUNTS, port: int = 0
    ) -> EmbeddedBroker:
        if kind == "mosquitto" and not find_mosquitto():
            pytest.skip("mosquitto is not installed")
        broker = await start_broker(
            tmp_path / "data",
            host="127.0.0.1",
            port=port or find_free_port("127.0.0.1", 21883),
            accounts=accounts,
            kind=kind,
            system_root=system_root,
        )
        running.append(broker)
        return broker

    yield start_one
    for broker in running:
        await broker.stop()


@pytest.fixture(params=["mosquitto", "amqtt"])
async def broker(request: pytest.FixtureRequest, start: Start) -> EmbeddedBroker:
    """Run the test against each kind of broker."""
    return await start(request.param)


Connect = Callable[..., Awaitable[MqttClient]]


@pytest.fixture
async def connect(broker: EmbeddedBroker) -> AsyncIterator[Connect]:
    """Connect clients to the broker; they are closed at the end of the test."""
    clients: list[MqttClient] = []

    async def connect_one(username: str, client_id: str = "", **options: object) -> MqttClient:
        client = MqttClient(
            broker.port, client_id or f"c{len(clients)}", username, f"pw-{username}"
        )
        code = await client.connect(**options)  # type: ignore[arg-type]  # handed through
        assert code == 0
        clients.append(client)
        return client

    yield connect_one
    for client in clients:
        with suppress(OSError, asyncio.CancelledError):
            await client.close()
