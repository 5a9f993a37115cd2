"""What an agent is told before an operator has said anything."""

from __future__ import annotations

from typing import Any

_NESTED = (
    "targetStatePollIntervalMs",
    "reportIntervalMs",
    "metricsIntervalMs",
    "reconciliationIntervalMs",
)


def default_config() -> dict[str, Any]:
    """Return the configuration of a new agent.

    `endpoints` is empty, which an agent takes as "keep your own". Anomaly detection is left out
    for the same reason.
    """
    intervals = {
        "targetStatePollIntervalMs": 60_000,
        "reportIntervalMs": 20_000,
        "metricsIntervalMs": 60_000,
        "reconciliationIntervalMs": 30_000,
    }
    return {
        "intervals": intervals | {"agent": dict(intervals)},
        "logging": {"level": "info", "enableCompression": True, "logFlushIntervalMs": 30_000},
        "features": {"enableDevicePublish": True, "enableDeviceJobs": True},
        "endpoints": [],
    }


def with_both_intervals(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with each interval at both places where agents look for it.

    A freshly received document counts by `intervals.X`, the same document after a restart of the
    agent only by `intervals.agent.X`. Whoever names one place means both.
    """
    intervals = config.get("intervals")
    if not isinstance(intervals, dict):
        return config
    nested = intervals.get("agent", {})
    if not isinstance(nested, dict):
        return config
    named = {key: intervals[key] for key in _NESTED if key in intervals}
    flat = {key: nested[key] for key in _NESTED if key in nested}
    if not named and not flat:
        return config
    return config | {"intervals": flat | intervals | {"agent": named | nested}}
