"""amqtt, a broker in Python, as a supervised child: for machines without Mosquitto."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fleetgraph.embedded.broker_process import BrokerProcess
from fleetgraph.embedded.child import Child
from fleetgraph.embedded.places import write_private


class AmqttBroker(BrokerProcess):
    """amqtt. Knows MQTT 3.1.1 only and no `$share`; nothing in it survives a restart."""

    kind = "amqtt"
    mqtt5 = False
    shared_subscriptions = False
    summary = (
        "amqtt (Mosquitto is not installed): MQTT 3.1.1 only, no shared subscriptions, "
        "about 1,000 messages/s (QoS 1), nothing queued survives a restart"
    )

    def _program(self) -> str:
        return Path(sys.executable).name[:6]  # "python", whatever its version is called

    async def _spawn(self, config: Path) -> Child:
        # The child starts as we are, because the account may not be able to read our libraries;
        # it changes to the account once everything is loaded.
        options = {
            "host": self.host,
            "port": self.port,
            "tls_host": self.tls.host if self.tls else None,
            "tls_port": self.tls.port if self.tls else None,
            "tls_clients": bool(self.tls and self.tls.client_ca_file),
            "folder": str(self._folder),
            "uid": self._account.uid if self._account else None,
            "gid": self._account.gid if self._account else None,
        }
        write_private(config, json.dumps(options, indent=2), self._account)
        return Child.spawn(
            "amqtt", [sys.executable, "-m", "fleetgraph.embedded.amqtt_child", config]
        )

    def _reload(self) -> None:
        """Do nothing: the child looks at its files twice a second."""
