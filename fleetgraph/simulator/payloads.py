"""Load messages: one template per group of ten series, with a hole wherever the time goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from fleetgraph.simulator.noise import key_of, uniform
from fleetgraph.simulator.packets import publish_head
from fleetgraph.simulator.plant import Sample
from fleetgraph.simulator.readings import Source, reading
from fleetgraph.simulator.wire import to_json

_HOLE = "#### the time, 24 B ####"  # as wide as what will stand there
_TEMPLATES_MAX = 256
_MILLIS = [b"%03dZ" % millis for millis in range(1000)]
_IDS = [number.to_bytes(2, "big") for number in range(65_536)]
_IDS_IN_USE = 65_535


class Payload(StrEnum):
    """What a message looks like."""

    COMPACT = "compact"  # bare readings that inherit time and device: ten in about 600 B
    RECORDED = "recorded"  # everything a real agent says: about 1 KB a reading


@dataclass(frozen=True, slots=True)
class _Template:
    head: bytes
    dup_head: bytes
    pieces: list[bytes]


class PacketFactory:
    """Makes PUBLISH packet number n of one connection, again and again the same.

    Message n belongs to series group n % groups and carries time start + (n // groups) * step,
    so (series, time) names every reading once, and times rise within each series.
    """

    def __init__(
        self,
        *,
        topic: str,
        device: str,
        payload: Payload,
        series: int,
        readings_per_message: int,
        start_ms: int,
        step_ms: int,
    ) -> None:
        self.groups = max(1, series // readings_per_message)
        self._start_ms = start_ms
        self._step_ms = step_ms
        self._second = -1
        self._second_text = b""
        variants = max(1, min(16, _TEMPLATES_MAX // self.groups))
        self._templates = [
            _template(topic, device, payload, readings_per_message, group, variant)
            for variant in range(variants)
            for group in range(self.groups)
        ]

    def packet_id(self, number: int) -> int:
        """Return the packet id of message `number`: 1 to 65535, in turn."""
        return number % _IDS_IN_USE + 1

    def time_ms(self, number: int) -> int:
        """Return the time of every reading of message `number`, in ms since 1970."""
        return self._start_ms + number // self.groups * self._step_ms

    def packet(self, number: int, *, dup: bool = False) -> bytes:
        """Return message `number` as a packet; `dup` marks it as sent before."""
        template = self._templates[number % len(self._templates)]
        time = self._time(self._start_ms + number // self.groups * self._step_ms)
        head = template.dup_head if dup else template.head
        return b"".join((head, _IDS[number % _IDS_IN_USE + 1], time.join(template.pieces)))

    def _time(self, time_ms: int) -> bytes:
        second, millis = divmod(time_ms, 1000)
        if second != self._second:
            self._second = second
            moment = datetime.fromtimestamp(second, UTC)
            self._second_text = f"{moment:%Y-%m-%dT%H:%M:%S}.".encode()
        return self._second_text + _MILLIS[millis]


def metric_names(series: int, readings_per_message: int) -> list[str]:
    """Return the metrics of one connection, in the order of groups."""
    groups = max(1, series // readings_per_message)
    return [f"m{number:03d}" for number in range(groups * readings_per_message)]


def _template(
    topic: str, device: str, payload: Payload, count: int, group: int, variant: int
) -> _Template:
    key = key_of(device, group, variant)
    samples = [
        Sample(f"m{group * count + number:03d}", "bar", round(10 + 89 * uniform(key, number), 1))
        for number in range(count)
    ]
    make = _compact if payload is Payload.COMPACT else _recorded
    data = make(device, samples)
    return _Template(
        publish_head(topic, len(data)),
        publish_head(topic, len(data), dup=True),
        data.split(_HOLE.encode()),
    )


def _compact(device: str, samples: list[Sample]) -> bytes:
    readings = [{"metric": s.metric, "value": s.value, "quality": s.quality} for s in samples]
    element = {"timestamp": _HOLE, "deviceName": device, "readings": readings}
    return to_json({"timestamp": _HOLE, "protocol": "modbus", "messages": [element]})


def _recorded(device: str, samples: list[Sample]) -> bytes:
    source = Source(device, "6a1d0c52-7b3e-4f80-8a11-9c2b3d4e5f60", "modbus", ())
    readings = [reading(source, sample, _HOLE, rich=True) for sample in samples]
    element = {"timestamp": _HOLE, "readings": readings}
    msg_id = f"{device}-{_HOLE}-{samples[0].metric}"
    document = {"timestamp": _HOLE, "protocol": "modbus", "messages": [element], "msgId": msg_id}
    return to_json(document)
