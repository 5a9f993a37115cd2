"""What brokers tell of themselves under `$SYS`: Mosquitto's and amqtt's names for the same figures."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, fields
from typing import Any, Final

SYS_FILTER: Final = "$SYS/#"
RATE_SECONDS: Final = 60.0

_ROOT: Final = "$SYS/broker/"
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")
_TEXT_BYTES_MAX: Final = 100

_TOPICS: Final = {
    "version": "version",
    "uptime": "uptime_seconds",
    "clients/connected": "clients_connected",
    "clients/disconnected": "clients_disconnected",
    "clients/total": "clients_total",
    "clients/maximum": "clients_maximum",
    "messages/received": "messages_received",
    "messages/sent": "messages_sent",
    "bytes/received": "bytes_received",
    "bytes/sent": "bytes_sent",
    "publish/messages/received": "publish_received",
    "publish/messages/sent": "publish_sent",
    "publish/messages/dropped": "publish_dropped",
    "store/messages/count": "messages_stored",
    "retained messages/count": "messages_retained",
    "subscriptions/count": "subscriptions",
    # What amqtt calls otherwise.
    "load/bytes/received": "bytes_received",
    "load/bytes/sent": "bytes_sent",
    "messages/publish/received": "publish_received",
    "messages/publish/sent": "publish_sent",
    "messages/inflight": "messages_inflight",
    "messages/inflight/stored": "messages_stored",
    "messages/retained/count": "messages_retained",
    "messages/subscriptions/count": "subscriptions",
}

_RATES: Final[tuple[str, ...]] = (
    *("messages_received", "messages_sent", "publish_received", "publish_sent"),
    *("bytes_received", "bytes_sent"),
)


@dataclass(frozen=True, slots=True)
class BrokerFigures:
    """A broker's own figures; None is what it does not tell. Rates are per second over a minute.

    Attributes:
        messages_received: MQTT packets of all kinds; `publish_received` counts messages alone.
        messages_stored: messages that it holds, retained ones included.
        messages_queued: those of them that wait for a client.
        publish_dropped: messages thrown away because a queue was full.
    """

    version: str | None = None
    uptime_seconds: int | None = None
    clients_connected: int | None = None
    clients_disconnected: int | None = None
    clients_total: int | None = None
    clients_maximum: int | None = None
    subscriptions: int | None = None
    messages_received: int | None = None
    messages_sent: int | None = None
    messages_stored: int | None = None
    messages_retained: int | None = None
    messages_queued: int | None = None
    messages_inflight: int | None = None
    publish_received: int | None = None
    publish_sent: int | None = None
    publish_dropped: int | None = None
    bytes_received: int | None = None
    bytes_sent: int | None = None
    messages_received_rate: float | None = None
    messages_sent_rate: float | None = None
    publish_received_rate: float | None = None
    publish_sent_rate: float | None = None
    bytes_received_rate: float | None = None
    bytes_sent_rate: float | None = None

    @classmethod
    def of(cls, values: dict[str, Any]) -> BrokerFigures:
        """Return the figures in what was stored, by whichever version of the program."""
        return cls(**{each.name: values.get(each.name) for each in fields(cls)})


class SysTopics:
    """The newest figures of one broker, and earlier ones to tell how fast they grow."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._earlier: deque[tuple[float, dict[str, int]]] = deque()

    @property
    def is_empty(self) -> bool:
        """Whether the broker has told nothing yet."""
        return not self._values

    def note(self, topic: str, payload: bytes) -> None:
        """Take one message; what is no figure of ours is passed over."""
        name = _TOPICS.get(topic.removeprefix(_ROOT))
        if name == "version":
            self._values[name] = payload[:_TEXT_BYTES_MAX].decode("utf-8", "replace")
        elif name is not None and (number := _NUMBER.match(payload)):  # uptime: "12 seconds"
            self._values[name] = int(number[0])

    def forget(self) -> None:
        """Start over: the broker is away, and another may come."""
        self._values.clear()
        self._earlier.clear()

    def figures(self, seconds: float) -> BrokerFigures:
        """Return the figures at this moment of a steady clock; to be called at even distances."""
        values = dict(self._values)
        if "messages_stored" in values and "messages_retained" in values:
            waiting = values["messages_stored"] - values["messages_retained"]
            values["messages_queued"] = max(0, waiting)
        counters: dict[str, int] = {name: values[name] for name in _RATES if name in values}
        if self._earlier and any(
            counters.get(name, 0) < before for name, before in self._earlier[-1][1].items()
        ):
            self._earlier.clear()  # the broker counts from zero again
        self._earlier.append((seconds, counters))
        while self._earlier[0][0] < seconds - RATE_SECONDS:
            self._earlier.popleft()
        began, first = self._earlier[0]
        if seconds > began:
            for name in counters.keys() & first.keys():
                values[f"{name}_rate"] = (counters[name] - first[name]) / (seconds - began)
        return BrokerFigures.of(values)
