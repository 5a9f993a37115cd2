"""Fixtures of the simulator's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fleetgraph.simulator.support import Mosquitto, StubCloud, running_mosquitto, serving


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    yield from running_mosquitto(tmp_path)


@pytest.fixture
async def cloud(mosquitto: Mosquitto) -> AsyncIterator[StubCloud]:
    async with serving(StubCloud(mosquitto.port)) as stub:
        yield stub
