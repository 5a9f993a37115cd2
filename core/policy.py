"""Limits and public addresses that use cases need, as plain values; settings fill them in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Registration(StrEnum):
    """Who may make an account by themselves."""

    OPEN = "open"
    INVITATION = "invitation"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """How agents reach the broker; sent to them at registration.

    Attributes:
        protocol: mqtt, mqtts, ws or wss.
        host: name or address as an agent can resolve it; empty means the host name under which
            the agent reached the API.
        port: TCP port.
        ca_cert: PEM of the authority that signed the broker's certificate, if it is private.
    """

    protocol: str = "mqtt"
    host: str = ""
    port: int = 1883
    ca_cert: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds on what callers may ask for, in force for the whole installation."""

    broker: BrokerAddress = field(default_factory=BrokerAddress)
    broker_usernames: frozenset[str] = frozenset({"fleetgraph"})
    client_id_prefix: str = "agent"
    challenge_ttl_seconds: int = 900
    online_window_seconds: int = 300
    agent_update_secret: str | None = field(default=None, repr=False)
    target_state_bytes_max: int = 256 * 1024
    device_logs_bytes_max: int = 10 * 1024 * 1024
    state_report_bytes_max: int = 2 * 1024 * 1024
    series_points_max: int = 200_000
    series_count_max: int = 500
    clock_past_days_max: int = 400
    clock_future_hours_max: int = 24
    journal_hours: int = 6
    audit_days: int = 730
    agent_metrics_days: int = 30
    logs_days: int = 90
    target_state_versions: int = 100
    adapter_history_days: int = 30
    state_history_days: int = 30
    registration: Registration = Registration.INVITATION
    session_seconds: int = 7 * 86_400
    refresh_retry_seconds: int = 30
    reset_seconds: int = 3_600
    invitation_seconds: int = 7 * 86_400
    public_url: str = "http://127.0.0.1:3002"
