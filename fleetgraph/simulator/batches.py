"""Polls gathered into one telemetry message, in every form agents are known to use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from fleetgraph.simulator.plant import Sample
from fleetgraph.simulator.readings import Source, reading
from fleetgraph.simulator.wire import epoch_ms, iso_ms


class Form(StrEnum):
    """How the default format lays out its elements."""

    NESTED = "nested"  # {timestamp, readings: [...]} per poll
    FLAT = "flat"  # a bare reading per element
    MIXED = "mixed"  # good readings nested, the others flat


class Format(StrEnum):
    """The payload formats of an agent; all but the first are set up by a local operator."""

    CUSTOM = "custom"
    TAGS = "tags"
    ECP = "ecp"
    ML = "ml"


@dataclass(frozen=True, slots=True)
class Poll:
    """What one look at one machine gave."""

    source: Source
    at: datetime
    samples: list[Sample]


@dataclass(frozen=True, slots=True)
class Layout:
    """How an agent builds its messages."""

    format: Format = Format.CUSTOM
    form: Form = Form.NESTED
    rich: bool = False


def build(polls: list[Poll], layout: Layout, *, at: datetime, msg_id: str) -> dict[str, Any]:
    """Return the message for some polls of one protocol, oldest first; `polls` is not empty."""
    if layout.format is Format.CUSTOM:
        return _custom(polls, layout, at, msg_id)
    head = {
        "timestamp": epoch_ms(polls[-1].at),
        "node": polls[-1].source.device_name,
        "group": polls[-1].source.protocol,
    }
    if layout.format is Format.ML:
        features = [_feature(poll, sample) for poll in polls for sample in poll.samples]
        return {"schema": "iotistica.ml.v1", **head, "features": features, "msgId": msg_id}
    # One entry per name: these two formats keep the newest only.
    newest = {sample.metric: (poll, sample) for poll in polls for sample in poll.samples}
    typed = layout.format is Format.ECP
    tags = [_tag(poll.source, sample, typed=typed) for poll, sample in newest.values()]
    return {**head, "tags": tags, "msgId": msg_id}


def _custom(polls: list[Poll], layout: Layout, at: datetime, msg_id: str) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for poll in polls:
        stamp = iso_ms(poll.at)
        for flat, samples in _split(poll.samples, layout.form):
            readings = [reading(poll.source, s, stamp, rich=layout.rich) for s in samples]
            messages += readings if flat else [{"timestamp": stamp, "readings": readings}]
    protocol = polls[0].source.protocol
    return {
        "timestamp": iso_ms(at),
        "protocol": protocol,
        "messages": messages,
        "msgId": msg_id,
    }


def _split(samples: list[Sample], form: Form) -> list[tuple[bool, list[Sample]]]:
    """Return groups of samples and whether each is to lie flat; no group is empty."""
    if form is Form.MIXED:
        numbers = [s for s in samples if s.quality == "GOOD" and isinstance(s.value, float)]
        others = [s for s in samples if s not in numbers]
        return [group for group in ((False, numbers), (True, others)) if group[1]]
    return [(form is Form.FLAT, samples)] if samples else []


def _tag(source: Source, sample: Sample, *, typed: bool) -> dict[str, Any]:
    tag: dict[str, Any] = {
        "name": f"{source.device_name}_{sample.metric}".replace("-", "_"),
        "rawName": sample.metric,
        "unit": sample.unit,
        "rawUnit": sample.unit,
        "dqStatus": "good" if sample.value is not None else "bad",
        "dqUnitConfidence": 0.85,
    }
    if sample.value is None:
        return tag | {"error": sample.quality_code}
    if typed:
        tag["type"] = _type_number(sample.value)
    return tag | {"value": sample.value}


def _type_number(value: object) -> int:
    if isinstance(value, bool):
        return 1
    if isinstance(value, int):
        return 2
    return 3 if isinstance(value, float) else 4


def _feature(poll: Poll, sample: Sample) -> dict[str, Any]:
    dtypes = {1: "bool", 2: "int", 3: "float", 4: "string"}
    return {
        "name": f"{poll.source.device_name}_{sample.metric}".replace("-", "_"),
        "rawName": sample.metric,
        "timestamp": epoch_ms(poll.at),
        "value": sample.value,
        "dtype": dtypes[_type_number(sample.value)] if sample.value is not None else "null",
        "unit": sample.unit,
        "quality": sample.quality,
    }
