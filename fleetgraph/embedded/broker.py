"""The MQTT broker that `fleetgraph up` runs: Mosquitto when it is installed, else amqtt."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from core.broker_accounts import BrokerAccount
from core.broker_drift import Drift
from fleetgraph.embedded.amqtt_broker import AmqttBroker
from fleetgraph.embedded.child import StartFailed
from fleetgraph.embedded.mosquitto import MosquittoBroker
from fleetgraph.embedded.places import SYSTEM_ROOT
from fleetgraph.embedded.tls import TlsListener

BrokerKind = Literal["auto", "mosquitto", "amqtt"]
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")  # not on everyone's PATH


class EmbeddedBroker(Protocol):
    """A running broker of ours. `summary` is one line for people: which, and what it can carry."""

    kind: str
    port: int
    url: str
    mqtt5: bool
    shared_subscriptions: bool
    summary: str
    place: str

    @property
    def pid(self) -> int | None:
        """The broker's process while it runs."""
        ...

    async def inspect(self, accounts: Sequence[BrokerAccount], mark: str | None) -> list[Drift]:
        """Return how the files differ from what we wrote last."""
        ...

    async def apply(self, accounts: Sequence[BrokerAccount]) -> str:
        """Make exactly these accounts usable; clients of accounts that are gone are cut off.

        The broker is told at most once a second, and obeys within a second. Returns a mark of the
        accounts.
        """
        ...

    def was_touched(self) -> bool:
        """Say whether a file is another one than we left there."""
        ...

    async def stop(self) -> None:
        """End the broker; Mosquitto saves its queues first."""
        ...

    async def wait(self) -> int:
        """Return the exit status when the broker has ended; `stop` it, then start another."""
        ...


def find_mosquitto() -> Path | None:
    """Return the mosquitto program, also from system folders that are not on PATH."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path=":".join(_SYSTEM_FOLDERS))
    return Path(found) if found else None


async def start_broker(
    data_dir: Path,
    *,
    host: str,
    port: int,
    accounts: Sequence[BrokerAccount],
    kind: BrokerKind = "auto",
    system_root: Path = SYSTEM_ROOT,
    tls: TlsListener | None = None,
) -> EmbeddedBroker:
    """Start a broker on host and port, and with `tls` on a second one; return once it accepts.

    A broker that a killed program of ours left on this data folder is ended first. Raises Conflict
    when the port is taken or another program uses the folder, StartFailed when it does not come up.
    """
    program = None if kind == "amqtt" else find_mosquitto()
    if kind == "mosquitto" and program is None:
        raise StartFailed("mosquitto is not installed")
    broker: MosquittoBroker | AmqttBroker
    if program:
        broker = MosquittoBroker(data_dir, host=host, port=port, tls=tls, program=program)
    else:
        broker = AmqttBroker(data_dir, host=host, port=port, tls=tls)
    await broker.start(accounts, system_root)
    return broker
