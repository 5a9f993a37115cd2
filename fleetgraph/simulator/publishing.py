"""Telemetry of one agent: polls become messages, messages go out or wait for their replay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from core.ids import Ids
from fleetgraph.simulator.batches import Layout, Poll, build
from fleetgraph.simulator.encodings import Encoding, encode, encoding_for
from fleetgraph.simulator.mqtt_link import MqttLink
from fleetgraph.simulator.outbox import Outbox, Parcel
from fleetgraph.simulator.wire import epoch_ms, to_json

_ON_THE_WAY_MAX = 100


class Publisher:
    """Sends batches through whatever link the agent may use at the moment."""

    def __init__(
        self,
        agent_uuid: str,
        *,
        layout: Layout,
        encoding: Encoding,
        ids: Ids,
        usable_link: Callable[[], tuple[MqttLink, str] | None],
    ) -> None:
        """`usable_link` gives the link and topic prefix, or None when batches must wait."""
        self.outbox = Outbox()
        self.published = 0
        self.acknowledged = 0
        self._uuid = agent_uuid
        self._layout = layout
        self._encoding = encoding
        self._ids = ids
        self._usable_link = usable_link
        self._polls: dict[str, list[Poll]] = {}
        self._last_ms = 0
        self._in_this_ms = 0

    def collect(self, poll: Poll) -> None:
        """Keep a poll for the next message."""
        self._polls.setdefault(poll.source.protocol, []).append(poll)

    def flush(self, at: datetime) -> None:
        """Send what was collected, one message per protocol."""
        polls, self._polls = self._polls, {}
        for protocol, group in polls.items():
            document = build(group, self._layout, at=at, msg_id=self._message_id(at))
            self._send(protocol, document)

    def replay_one(self) -> None:
        """Send the oldest waiting batch, always as plain JSON, if there is one and a link."""
        target = self._usable_link()
        if target is None or not self.outbox or target[0].unacknowledged >= _ON_THE_WAY_MAX:
            return
        link, prefix = target
        parcel = self.outbox.take()

        def settled(done: asyncio.Future[bool]) -> None:
            if done.result():
                self.acknowledged += 1
            else:
                self.outbox.put_back(parcel)

        topic = f"{prefix}/endpoints/{parcel.protocol}"
        link.publish(topic, parcel.payload).add_done_callback(settled)

    def _send(self, protocol: str, document: dict[str, Any]) -> None:
        target = self._usable_link()
        if target is None or target[0].unacknowledged >= _ON_THE_WAY_MAX:
            self.outbox.add(Parcel(protocol, to_json(document)))
            return
        link, prefix = target

        def settled(done: asyncio.Future[bool]) -> None:
            if done.result():
                self.acknowledged += 1
            else:
                self.outbox.add(Parcel(protocol, to_json(document)))

        payload = encode(document, encoding_for(self._encoding, self.published))
        self.published += 1
        link.publish(f"{prefix}/endpoints/{protocol}", payload).add_done_callback(settled)

    def _message_id(self, at: datetime) -> str:
        now = epoch_ms(at)
        self._in_this_ms = self._in_this_ms + 1 if now == self._last_ms else 0
        self._last_ms = now
        return f"{self._uuid}-{now}-{self._in_this_ms}-{self._ids.secret_hex(2)}"
