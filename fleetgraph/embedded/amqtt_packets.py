"""Makes amqtt end a connection over a packet that breaks the protocol.

amqtt 0.12 drops such a packet where it stands and reads on in the middle of it: what a client put
into the payload would count as packets.
"""

from __future__ import annotations

from typing import Any

from amqtt.adapters import ReaderAdapter
from amqtt.errors import MQTTError
from amqtt.mqtt import packet_class
from amqtt.mqtt.packet import MQTTFixedHeader
from amqtt.mqtt.protocol import handler


class _Strict:
    """Reads packets of one kind; raises what amqtt's loop of reading ends at."""

    def __init__(self, fixed_header: MQTTFixedHeader) -> None:
        self._kind = packet_class(fixed_header)

    async def from_stream(self, reader: ReaderAdapter, fixed_header: MQTTFixedHeader) -> Any:
        try:
            return await self._kind.from_stream(reader, fixed_header=fixed_header)
        except MQTTError as error:
            raise ValueError(f"a broken packet: {error}") from error


def end_at_broken_packets() -> None:
    """Change this process's amqtt."""
    handler.packet_class = _Strict
