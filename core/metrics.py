"""Every Prometheus metric, declared once. Labels are bounded: never a tenant, agent or topic."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

HTTP_REQUESTS = Counter(
    "fleetgraph_http_requests_total", "Requests answered.", ["method", "status"]
)
HTTP_SECONDS = Histogram(
    "fleetgraph_http_request_seconds", "Time to answer a request.", buckets=_FAST
)
RATE_LIMIT_ERRORS = Counter(
    "fleetgraph_rate_limit_errors_total",
    "Calls that went on uncounted, because Redis failed or was slow.",
)
MQTT_MESSAGES = Counter(
    "fleetgraph_mqtt_messages_total", "Messages taken from the broker, by kind.", ["kind"]
)
READINGS = Counter(
    "fleetgraph_readings_total",
    "Readings handled: stored, or there already (duplicate), or set aside (dead).",
    ["outcome"],
)
LOG_BATCHES = Counter(
    "fleetgraph_log_batches_total",
    "Log batches of agents: stored, or there already (duplicate).",
    ["outcome"],
)
LOG_RETRIES = Counter(
    "fleetgraph_log_retries_total", "Log batches that agents say they sent before."
)
LOG_LINES = Counter(
    "fleetgraph_log_lines_total",
    "Log lines of agents: stored, or unreadable (skipped).",
    ["outcome"],
)
DEAD_LETTERS = Counter(
    "fleetgraph_dead_letters_total", "Messages and parts of messages that could not be read."
)
INGEST_PENDING = Gauge(
    "fleetgraph_ingest_pending_readings", "Readings received and not committed yet."
)
INGEST_PAUSED = Gauge("fleetgraph_ingest_paused", "1 while ingest pushes back on the broker.")
INGEST_COMMIT_SECONDS = Histogram(
    "fleetgraph_ingest_commit_seconds", "Time to commit one batch of readings.", buckets=_FAST
)
BROKER_CONNECTED = Gauge("fleetgraph_broker_connected", "1 while the broker link is up.")
BROKER_DRIFT = Counter(
    "fleetgraph_broker_drift_total",
    "Differences between a broker's copy of the accounts and what it was given.",
    ["kind"],
)
BROKER_FIGURES = {
    name: Gauge(f"fleetgraph_broker_{name}", text)
    for name, text in (
        ("clients_connected", "Clients that the broker serves, by its own count."),
        ("subscriptions", "Subscriptions that the broker holds."),
        ("messages_retained", "Messages that the broker retains."),
        ("messages_queued", "Messages that wait in the broker for a client."),
        ("publish_received", "Messages that the broker has taken since it started."),
        ("publish_dropped", "Messages that the broker has thrown away since it started."),
    )
}
"""What the broker tells of itself, where the worker `broker-watch` runs; NaN for what it does not."""
for _gauge in BROKER_FIGURES.values():
    _gauge.set(float("nan"))

LIVE_LISTENERS = Gauge("fleetgraph_live_listeners", "Streams of readings being followed.")
REFUSALS_DROPPED = Counter(
    "fleetgraph_refusals_dropped_total",
    "Refused calls that the audit log does not tell of, because too many kinds came at once.",
)
WORKER_UP = Gauge("fleetgraph_worker_up", "1 while the worker runs.", ["worker"])
WORKER_RESTARTS = Counter("fleetgraph_worker_restarts_total", "Restarts of a worker.", ["worker"])
