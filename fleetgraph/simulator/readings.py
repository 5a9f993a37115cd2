"""Samples as the reading objects that an agent puts into its batches."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fleetgraph.simulator.plant import Machine, Sample

_UNIT_NAMES = {"°C": ("degreesCelsius", "temperature"), "A": ("amperes", "current")}


@dataclass(frozen=True, slots=True)
class Source:
    """Where an agent's readings of one machine come from."""

    name: str
    uuid: str
    protocol: str
    metrics: tuple[tuple[str, str], ...]  # name and unit

    @property
    def device_name(self) -> str:
        """Return the name on readings: the endpoint's, and eight digits of its uuid."""
        return f"{self.name}-{self.uuid[:8]}"


def source_of(agent_uuid: str, machine: Machine) -> Source:
    """Return the endpoint through which an agent reads a machine; stable for the pair."""
    metrics = tuple((metric.name, metric.unit) for metric in machine.kind.metrics)
    uuid = _derived_uuid(agent_uuid, machine.name)
    return Source(machine.name, uuid, machine.kind.protocol, metrics)


def reading(
    source: Source, sample: Sample, timestamp: str, *, rich: bool = False
) -> dict[str, Any]:
    """Return one reading object; `rich` adds the provenance of the full form, about 1 KB.

    A dead device gives less: no protocol and no device id, as observed.
    """
    unit, quantity = _UNIT_NAMES.get(sample.unit, (sample.unit, None))
    unit = unit if rich else sample.unit
    document: dict[str, Any] = {"timestamp": timestamp, "deviceName": source.device_name}
    if sample.quality == "GOOD" and source.protocol != "mqtt":
        document["deviceId"] = f"{source.protocol}:tcp:192.0.2.20:502:slave:1"
        document["protocol"] = source.protocol
    document |= {
        "endpoint_uuid": source.uuid,
        "device_uuid": source.uuid,
        "metric": sample.metric,
        "value": sample.value,
        "unit": unit,
        "quality": sample.quality,
    }
    if sample.quality_code:
        document["qualityCode"] = sample.quality_code
    return document | _provenance(source, sample, timestamp, unit, quantity) if rich else document


def _provenance(
    source: Source, sample: Sample, timestamp: str, unit: str, quantity: str | None
) -> dict[str, Any]:
    good = sample.quality == "GOOD"
    normalized = quantity is not None
    return {
        "pointIdentity": {
            "provisionalPointId": _derived_uuid(source.uuid, sample.metric, sample.quality),
            "normalizedName": f"{source.device_name}_{sample.metric}".replace("-", "_"),
            "rawName": sample.metric,
            "rawDeviceName": source.device_name,
            "rulesVersion": "pn-rules-v3",
            "provenance": {
                "method": "algorithmic",
                "resolutionSource": "runtime-generated",
                "persistenceState": "pending",
                "sourceFields": ["metric"],
                "sourceSystem": source.protocol,
            },
        },
        "unitValue": {
            "rawValue": sample.value,
            "rawUnit": sample.unit,
            "value": sample.value,
            "unit": unit,
            **({"quantity": quantity} if normalized else {}),
            "normalized": normalized,
            "converted": False,
            "provenance": {
                "method": "global-alias" if normalized else "unresolved",
                "sourceSystem": None,
            },
        },
        "dataQuality": {
            "checks": {
                "source": {"status": "passed" if good else "failed"},
                "unit": {"status": "passed", "confidence": 0.85},
                "value": {"status": "passed" if good else "failed"},
            },
            "status": "good" if good else "bad",
            "evaluatedAt": timestamp,
            "rulesVersion": "dq-rules-v1",
            "engineVersion": "1.0.0",
        },
    }


def _derived_uuid(*parts: str) -> str:
    """Return a UUID that depends on its parts alone."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return str(UUID(bytes=digest[:16], version=5))
