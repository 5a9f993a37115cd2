"""The recorded traffic of a real agent, as it went over the wire."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[1] / "fixtures" / "agent-traffic"
Seen = set[tuple[str, int, Any]]


def recorded(name: str) -> list[dict[str, Any]]:
    """Return the lines of a recording."""
    return [json.loads(line) for line in (_FOLDER / name).read_text("utf-8").splitlines()]


def recorded_telemetry(*, hours_later: int = 0) -> dict[str, Any]:
    """Return the recorded batch: twelve polls of three metrics, moved in time."""
    batch = copy.deepcopy(recorded("mqtt.jsonl")[-1]["json"])
    batch["msgId"] += f"-{hours_later}"
    for reading in readings_of(batch):
        moved = datetime.fromisoformat(reading["timestamp"]) + timedelta(hours=hours_later)
        reading["timestamp"] = moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return batch  # type: ignore[no-any-return]  # JSON


def readings_of(batch: dict[str, Any]) -> list[dict[str, Any]]:
    return [reading for message in batch["messages"] for reading in message["readings"]]


def facts_of(batch: dict[str, Any]) -> Seen:
    """Return (metric, ms since 1970, value) of each reading."""
    return {
        (
            one["metric"],
            round(datetime.fromisoformat(one["timestamp"]).timestamp() * 1000),
            one["value"],
        )
        for one in readings_of(batch)
    }


def without_nested_intervals(config: dict[str, Any]) -> dict[str, Any]:
    """Return a polled config as it was set; agent-wire §3.6 wants intervals in both forms."""
    flat = dict(config["intervals"])
    for name, value in flat.pop("agent").items():
        assert flat[name] == value
    return config | {"intervals": flat}


def to_json(value: object) -> bytes:
    """Return JSON as JavaScript writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
