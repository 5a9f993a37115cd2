"""Mosquitto as a supervised child: generated configuration, password file, pattern ACL, SIGHUP."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

from fleetgraph.embedded.broker_process import BrokerProcess
from fleetgraph.embedded.child import Child, run_to_end
from fleetgraph.embedded.places import write_private
from fleetgraph.embedded.tls import TlsListener

_RELOAD_SECONDS_MIN = 1.0
_VERSION = re.compile(r"version (\d+(?:\.\d+)+)")

# max_queued_messages: 0 would mean "no limit" but is broken in some 2.0 releases.
_CONFIG = """\
# Written at every start.
listener {port} {host}
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
persistence true
persistence_location {folder}/
autosave_interval 15
persistent_client_expiration 30d
max_inflight_messages 2000
max_queued_messages 2000000
message_size_limit 16777216
set_tcp_nodelay true
sys_interval 10
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false
"""

_TLS_CONFIG = """
listener {port} {host}
certfile {folder}/server.pem
keyfile {folder}/server.key
"""

# The certificate comes beside the password. `use_identity_as_username` would take its place:
# Mosquitto then never asks the password file, and so lets in whom it does not name any more.
_CLIENTS_CONFIG = """\
cafile {folder}/clients.pem
require_certificate true
"""


class MosquittoBroker(BrokerProcess):
    """Mosquitto. What is queued survives a stop; a crash of the broker loses up to 15 s of it."""

    kind = "mosquitto"
    mqtt5 = True
    shared_subscriptions = True
    summary = "Mosquitto: MQTT 3.1.1 and 5, shared subscriptions, about 30,000 messages/s (QoS 1)"

    def __init__(
        self, data_dir: Path, *, host: str, port: int, program: Path, tls: TlsListener | None = None
    ) -> None:
        super().__init__(data_dir, host=host, port=port, tls=tls)
        self._path = program
        self._reload_at = 0.0
        self._reloading: asyncio.TimerHandle | None = None

    def _program(self) -> str:
        return "mosquitto"

    async def _spawn(self, config: Path) -> Child:
        version = _VERSION.search(
            await run_to_end("mosquitto", [self._path, "-h"], allowed=(0, 1, 3), seconds=10.0)
        )
        if version:
            self.summary = MosquittoBroker.summary.replace(":", f" {version[1]}:", 1)
        text = _CONFIG.format(port=self.port, host=self.host, folder=self._folder)
        if self.tls:
            tls = _TLS_CONFIG + (_CLIENTS_CONFIG if self.tls.client_ca_file else "")
            text += tls.format(port=self.tls.port, host=self.tls.host, folder=self._folder)
        write_private(config, text, self._account)
        # Started as the account, not as root: Mosquitto's own change of account would make the
        # kernel forget that it is to end with us.
        return Child.spawn(
            "mosquitto", [self._path, "-c", config], account=self._account, cwd=self._folder
        )

    def _reload(self) -> None:
        if self._reloading:
            return
        loop = asyncio.get_running_loop()
        # Whatever is written until then goes along with this one signal.
        self._reload_at = max(loop.time(), self._reload_at + _RELOAD_SECONDS_MIN)
        self._reloading = loop.call_at(self._reload_at, self._tell)

    def _tell(self) -> None:
        self._reloading = None
        if self._child:
            self._child.send(signal.SIGHUP)
