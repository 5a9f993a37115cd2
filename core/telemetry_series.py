"""Which series a reading belongs to, from what the reading, its group and its batch say."""

from __future__ import annotations

import re
from operator import attrgetter
from typing import Final, NamedTuple

from core.readings import SeriesSpec
from core.telemetry_formats import Batch, Unreadable

NAME_CHARS_MAX: Final = 255
PROTOCOLS: Final = ("modbus", "opcua", "snmp", "can", "mqtt", "bacnet", "system")
"""What a series' protocol can be; `mqtt` when nothing says otherwise."""

_MEMO_SERIES_MAX: Final = 65_536
_MEMO_KEY_CHARS_MAX: Final = 1_024

_UUID: Final = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", re.IGNORECASE | re.ASCII)


class Words(NamedTuple):
    """All that one level of a message says about a series."""

    metric: str | None = None
    device_uuid: str | None = None
    endpoint_uuid: str | None = None
    device_name: str | None = None
    unit: str | None = None
    protocol: str | None = None


Key = tuple[str | None, ...]
key_of: attrgetter[Key] = attrgetter(*Words._fields)
"""The words of a reading, element or batch as a plain tuple, which is cheap to make."""
NO_WORDS: Final[Key] = (None,) * len(Words._fields)
BatchKey = tuple[Key, str]


def batch_key_of(batch: Batch) -> BatchKey:
    """Return the words of a batch and the protocol that its metadata name."""
    return key_of(batch), (batch.metadata and batch.metadata.protocol) or ""


class Known(dict[Key, SeriesSpec]):
    """The series of each reading key within one context.

    Looking up a key without a usable name raises Unreadable.
    """

    def __init__(self, memo: Memo, group: Words, batch: Words, metadata_protocol: str) -> None:
        super().__init__()
        self._memo = memo
        self._group = group
        self._batch = batch
        self._metadata_protocol = metadata_protocol

    def __missing__(self, key: Key) -> SeriesSpec:
        spec = _spec(Words(*key), self._group, self._batch, self._metadata_protocol)
        if self._memo.makes_room_for(key):
            self[key] = spec
        return spec


class Memo:
    """All contexts and series seen lately; forgets everything when it is full."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[Key, BatchKey], Known] = {}
        self._series = 0

    def context(self, group_key: Key, batch_key: BatchKey) -> Known:
        """Return the known series of readings in a group of a batch, both by their words."""
        known = self._contexts.get((group_key, batch_key))
        if known is None:
            batch_words, metadata_protocol = batch_key
            known = Known(self, Words(*group_key), Words(*batch_words), metadata_protocol)
            if self.makes_room_for((*group_key, *batch_words, metadata_protocol)):
                self._contexts[group_key, batch_key] = known
        return known

    def makes_room_for(self, key: Key) -> bool:
        """Count an entry, forgetting all before if there are too many; False for a huge key."""
        if sum(len(text) for text in key if text) > _MEMO_KEY_CHARS_MAX:
            return False
        self._series += 1
        if self._series > _MEMO_SERIES_MAX:
            for known in self._contexts.values():
                known.clear()
            self._contexts.clear()
            self._series = 1
        return True


def _spec(reading: Words, group: Words, batch: Words, metadata_protocol: str) -> SeriesSpec:
    device_name = _first(reading.device_name, group.device_name, batch.device_name)
    endpoint_uuid = _lower_uuid(_first(reading.endpoint_uuid, group.endpoint_uuid))
    spoken = (reading.protocol, group.protocol, batch.protocol)
    device = (
        _lower_uuid(_first(reading.device_uuid, group.device_uuid))
        or endpoint_uuid
        or device_name
        or _first(*spoken)
        or "unknown"
    )
    metric = _first(reading.metric, device_name)
    if not metric:
        raise Unreadable("no metric")
    spec = SeriesSpec(
        device=device,
        metric=metric,
        unit=reading.unit or "",
        protocol=_protocol(device_name, metadata_protocol, *reversed(spoken)),
        device_name=device_name,
        endpoint_uuid=endpoint_uuid,
    )
    for what, text in zip(SeriesSpec._fields, spec, strict=True):
        if len(text) > NAME_CHARS_MAX:
            raise Unreadable(f"{what} is longer than {NAME_CHARS_MAX} characters")
        if "\0" in text:
            raise Unreadable(f"{what} holds a zero character")
    return spec


def _protocol(device_name: str, *spoken: str | None) -> str:
    for word in spoken:
        if word and word.lower() in PROTOCOLS:
            return word.lower()
    lowered = device_name.lower()
    return next((known for known in PROTOCOLS if lowered.startswith(known)), "mqtt")


def _first(*texts: str | None) -> str:
    return next((text for text in texts if text and not text.isspace()), "")


def _lower_uuid(text: str) -> str:
    return text.lower() if _UUID.fullmatch(text) else text
