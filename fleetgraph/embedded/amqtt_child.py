"""The process that is the amqtt broker: `python -m fleetgraph.embedded.amqtt_child CONFIG`.

CONFIG is JSON: host, port, tls_host and tls_port or null, tls_clients (whether they need
certificates), folder (with `passwords` and `acl`), uid and gid to become, or null.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from fleetgraph.embedded.amqtt_rules import GuardedBroker
from fleetgraph.embedded.processes import end_with_parent
from fleetgraph.embedded.tls import TlsServer

_LOOK_SECONDS = 0.5


async def serve(options: dict[str, Any]) -> None:
    """Run the broker until SIGTERM."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    folder, tls = Path(options["folder"]), None
    if options["tls_port"]:
        tls = TlsServer(
            options["tls_host"],
            options["tls_port"],
            folder,
            requires_clients=options["tls_clients"],
        )
    broker = GuardedBroker(options["host"], options["port"], folder, tls)
    await broker.start()
    # Only now: the account may not be able to read the libraries that were needed until here.
    _become(options["uid"], options["gid"])
    watcher = asyncio.create_task(_watch(broker, tls))
    await ended.wait()
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    await broker.shutdown()


async def _watch(broker: GuardedBroker, tls: TlsServer | None) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            await broker.refresh()
            if tls:
                tls.refresh()
        except Exception:  # a half-finished change: what was stays until the next look
            logging.getLogger(__name__).exception("The broker's files cannot be read")


def _become(uid: int | None, gid: int | None) -> None:
    if uid is None or gid is None:
        return
    parent = os.getppid()
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    # The change of account made the kernel forget that we are to end with our parent.
    if hook := end_with_parent(signal.SIGTERM, parent):
        hook()


def main() -> None:
    """Read the configuration and serve."""
    options = json.loads(Path(sys.argv[1]).read_text())
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    os.chdir(options["folder"])
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
