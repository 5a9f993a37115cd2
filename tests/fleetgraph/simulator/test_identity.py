"""Whom an agent trusts as its broker: as `brokerConfig` says, and no more than real agents do."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from core.clock import SystemClock
from fleetgraph.certificates import CA_FILE, make_server
from fleetgraph.simulator.identity import broker_of


async def is_trusted(folder: Path, **more: Any) -> bool:
    """Whether an agent with this configuration shakes hands with a server of `folder`."""
    written = make_server(folder, [], SystemClock().now())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(written.certificate, written.key)

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    broker = broker_of({"protocol": "mqtts", "host": "127.0.0.1", "port": port, **more})
    assert broker is not None
    async with server:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=broker.tls_context())
        except ssl.SSLCertVerificationError:
            return False
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True


async def test_verifies_only_with_an_authority_and_unless_told_not_to(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        make_server(folder, [], SystemClock().now())
    own_ca, other_ca = ((folder / CA_FILE).read_text() for folder in (own, other))
    assert await is_trusted(own, caCert=own_ca)
    assert not await is_trusted(own, caCert=other_ca)
    assert await is_trusted(own, caCert=other_ca, verifyCertificate=False)
    assert await is_trusted(own)


@pytest.mark.parametrize("protocol", ["mqtt", "mqtts"])
def test_the_protocol_alone_decides_on_tls(protocol: str) -> None:
    for use_tls in (True, False):
        config = {"protocol": protocol, "host": "broker", "port": 1883, "useTls": use_tls}
        broker = broker_of(config)
        assert broker is not None
        assert bool(broker.tls_context()) is (protocol == "mqtts")
