"""The TLS listener of both brokers: who gets in, who does not, and a renewed certificate."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import AppError
from fleetgraph.certificates import Written, make_client, make_server
from fleetgraph.embedded.broker import BrokerKind, EmbeddedBroker, find_mosquitto, start_broker
from fleetgraph.embedded.tls import TlsListener
from tests.fleetgraph.embedded.conftest import ACCOUNTS, ONE, PLATFORM, TWO
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import free_ports, until
from workers.mqtt import BrokerEndpoint, BrokerLink

pytestmark = pytest.mark.slow
NOW = SystemClock().now()


@dataclass(frozen=True)
class Place:
    """A broker with a TLS listener, and the folder of its certificates."""

    broker: EmbeddedBroker
    tls: TlsListener
    folder: Path

    def context(self, client: Written | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if client:
            context.load_cert_chain(client.certificate, client.key)
        return context

    async def log_in(self, username: str, client: Written | None = None) -> int | None:
        """Return the broker's answer; None when it hung up before one."""
        mqtt = MqttClient(self.tls.port, "c1", username, f"pw-{username}", self.context(client))
        try:
            code = await mqtt.connect()
        except (OSError, asyncio.IncompleteReadError):
            return None
        if code == 0:
            await mqtt.close()
        return code

    async def serial(self) -> str:
        _, writer = await asyncio.open_connection("127.0.0.1", self.tls.port, ssl=self.context())
        serial: str = writer.get_extra_info("peercert")["serialNumber"]
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return serial


Open = Callable[[bool], Awaitable[Place]]


@pytest.fixture(params=["mosquitto", "amqtt"])
async def open_place(
    request: pytest.FixtureRequest, tmp_path: Path, system_root: Path
) -> AsyncIterator[Open]:
    kind: BrokerKind = request.param
    if kind == "mosquitto" and not find_mosquitto():
        pytest.skip("mosquitto is not installed")
    running: list[EmbeddedBroker] = []

    async def open_one(needs_certificate: bool) -> Place:
        folder = tmp_path / "certificates"
        make_server(folder, [], NOW)
        plain, port = free_ports(2)
        tls = TlsListener(
            "127.0.0.1", port, folder, folder / "ca.pem" if needs_certificate else None
        )
        broker = await start_broker(
            tmp_path / "data",
            host="127.0.0.1",
            port=plain,
            accounts=ACCOUNTS,
            kind=kind,
            system_root=system_root,
            tls=tls,
        )
        running.append(broker)
        return Place(broker, tls, folder)

    yield open_one
    for broker in running:
        await broker.stop()


@asynccontextmanager
async def linked(place: Place, ca_cert: str | None) -> AsyncIterator[BrokerLink]:
    endpoint = BrokerEndpoint(
        "127.0.0.1", place.tls.port, PLATFORM, f"pw-{PLATFORM}", "link", tls=True, ca_cert=ca_cert
    )
    link = BrokerLink(replace(endpoint, mqtt5=place.broker.mqtt5), ["i/#"])
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_agents_get_in_with_their_password_and_strangers_do_not(open_place: Open) -> None:
    place = await open_place(False)
    assert await place.log_in(ONE) == 0
    assert await place.log_in("AAAAAAAAAAAAAAAAAAAAAA/a/9999999999999999999999") in {4, 5}


async def test_our_own_link_verifies_the_broker(open_place: Open, tmp_path: Path) -> None:
    place = await open_place(False)
    make_server(tmp_path / "others", [], NOW)
    async with linked(place, (place.folder / "ca.pem").read_text()) as link:
        async with asyncio.timeout(10):
            await link.connected.wait()
    for ca_cert in ((tmp_path / "others" / "ca.pem").read_text(), None):
        async with linked(place, ca_cert) as link:
            await asyncio.sleep(0.5)
            assert not link.connected.is_set()


async def test_a_certificate_comes_beside_the_password(open_place: Open) -> None:
    place = await open_place(True)
    one = make_client(place.folder, ONE, NOW)
    assert await place.log_in(ONE, one) == 0
    assert await place.log_in(ONE) is None
    make_server(place.folder.parent / "others", [], NOW)
    assert await place.log_in(ONE, make_client(place.folder.parent / "others", ONE, NOW)) is None


async def test_a_revoked_account_stays_out_whatever_certificate_it_has(open_place: Open) -> None:
    place = await open_place(True)
    two = make_client(place.folder, TWO, NOW)
    client = MqttClient(place.tls.port, "c2", TWO, f"pw-{TWO}", place.context(two))
    assert await client.connect() == 0
    await place.broker.apply([account for account in ACCOUNTS if account.username != TWO])
    await until(client.closed.is_set, "the revoked client is cut off")
    assert await place.log_in(TWO, two) in {4, 5}
    with suppress(OSError):
        await client.close(politely=False)


async def test_a_renewed_certificate_is_taken_up_without_a_restart(
    open_place: Open, tmp_path: Path
) -> None:
    place = await open_place(False)
    client = MqttClient(place.tls.port, "c2", ONE, f"pw-{ONE}", place.context())
    assert await client.connect() == 0
    pid, before = place.broker.pid, await place.serial()
    make_server(tmp_path / "others", [], NOW)
    shutil.copy(tmp_path / "others" / "server.key", place.folder)  # half of a renewal
    assert place.tls.files() == {}
    await place.broker.apply(ACCOUNTS)
    assert await place.log_in(ONE) == 0
    make_server(place.folder, [], NOW)
    await place.broker.apply(ACCOUNTS)
    async with asyncio.timeout(10):
        while await place.serial() == before:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.05)
    assert place.broker.pid == pid
    assert not client.closed.is_set()
    await client.close()


@pytest.mark.parametrize("lost", ["server.pem", "server.key", "ca.pem"])
async def test_does_not_start_without_its_files(
    tmp_path: Path, system_root: Path, lost: str
) -> None:
    make_server(tmp_path, [], NOW)
    (tmp_path / lost).unlink()
    plain, port = free_ports(2)
    with pytest.raises(AppError, match="cannot be used"):
        await start_broker(
            tmp_path / "data",
            host="127.0.0.1",
            port=plain,
            accounts=ACCOUNTS,
            system_root=system_root,
            tls=TlsListener("127.0.0.1", port, tmp_path, tmp_path / "ca.pem"),
        )
