"""What a reading is, and how readings travel: as columns, never as objects one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray


class Kind(IntEnum):
    """What a value was on the wire, so that it comes back as that. Stored; never renumber."""

    FLOAT = 0
    BOOLEAN = 1  # value column holds 0.0 or 1.0
    TEXT = 2  # value column holds NaN, the text stands beside
    NULL = 3  # value column holds NaN


class Quality(IntEnum):
    """How far a reading can be trusted (contract §6.5). Stored; never renumber."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2
    STALE = 3
    UNKNOWN = 4


class SeriesSpec(NamedTuple):
    """What a message says about the series a reading belongs to, all as plain text.

    `device` and `metric` are the identity within one agent; `device` is the device's uuid, else
    its endpoint's uuid, else its name. The others are attributes that may change: empty text
    when the message did not say.
    """

    device: str
    metric: str
    unit: str
    protocol: str
    device_name: str
    endpoint_uuid: str


class Reject(NamedTuple):
    """A part of a message that could not be read: why, and the part itself as JSON text."""

    reason: str
    part: str


@dataclass(slots=True)
class Telemetry:
    """One message's readings as parallel columns, in the order of the message.

    Attributes:
        specs: the series of each reading.
        times_us: int64, microseconds since 1970-01-01 UTC.
        values: float64; see Kind for what stands where.
        kinds: Kind of each reading.
        qualities: Quality of each reading.
        texts: index of a reading of kind TEXT -> its text.
        rejects: parts of the message that are no readings.
        msg_id: the sender's message id, if it gave one.
    """

    specs: list[SeriesSpec]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    kinds: NDArray[np.int8]
    qualities: NDArray[np.int8]
    texts: dict[int, str] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    msg_id: str | None = None

    def __len__(self) -> int:
        return len(self.specs)

    def take(self, index: NDArray[np.intp]) -> Telemetry:
        """Return the readings at `index`, ascending; rejects stay with the original."""
        at = index.tolist()
        texts = {new: self.texts[old] for new, old in enumerate(at) if old in self.texts}
        return Telemetry(
            [self.specs[i] for i in at],
            self.times_us[index],
            self.values[index],
            self.kinds[index],
            self.qualities[index],
            texts,
            msg_id=self.msg_id,
        )


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """A stored series: its identity and what is known of it."""

    id: int
    tenant_id: int
    agent_id: int
    agent_uuid: UUID
    device: str
    metric: str
    unit: str
    protocol: str
    device_name: str
    endpoint_uuid: str


@dataclass(slots=True)
class SeriesColumns:
    """Readings of one series, ascending by time.

    Attributes:
        info: the series.
        times_us: int64, microseconds since 1970-01-01 UTC.
        values: Python values as they were sent: float, bool, str or None.
        qualities: Quality of each reading, or of the worst reading of each bucket.
    """

    info: SeriesInfo
    times_us: NDArray[np.int64]
    values: list[float | bool | str | None]
    qualities: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class LatestReading:
    """The newest reading of one series."""

    info: SeriesInfo
    time: datetime
    value: float | bool | str | None
    quality: Quality
