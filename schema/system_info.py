"""The gateway itself, as its agent reports it, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import strawberry

from models.agents import Agent
from schema.directives import list_size


@strawberry.type(description="A network interface of a gateway; null what it did not say.")
class NetworkInterface:
    """One reported interface."""

    name: str | None
    ip4: str | None
    ip6: str | None
    mac: str | None
    type: str | None = strawberry.field(description="wired, wireless, virtual or the agent's word.")
    default: bool | None = strawberry.field(description="Whether it leads out.")
    virtual: bool | None
    operstate: str | None
    ssid: str | None
    signal_level: float | None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> NetworkInterface:
        """Return what a report says of an interface."""
        texts = ("name", "ip4", "ip6", "mac", "type", "operstate", "ssid")
        level = told.get("signalLevel")
        is_number = isinstance(level, int | float) and not isinstance(level, bool)
        return cls(
            **{name: told[name] if isinstance(told.get(name), str) else None for name in texts},
            default=told["default"] if isinstance(told.get("default"), bool) else None,
            virtual=told["virtual"] if isinstance(told.get("virtual"), bool) else None,
            signal_level=level if is_number else None,
        )


@strawberry.type(description="A gateway as last reported; null what never was.")
class SystemInfo:
    """What reports tell of the gateway."""

    os_version: str | None
    architecture: str | None
    agent_version: str | None
    ip: str | None
    interfaces: list[NetworkInterface] = strawberry.field(directives=[list_size(10)])
    uptime_seconds: float | None
    cpu_usage: float | None = strawberry.field(description="Percent.")
    temperature: float | None = strawberry.field(description="Degrees Celsius.")
    memory_usage: float | None = strawberry.field(description="MB.")
    memory_total: float | None = strawberry.field(description="MB.")
    storage_usage: float | None = strawberry.field(description="MB.")
    storage_total: float | None = strawberry.field(description="MB.")

    @classmethod
    def of(cls, agent: Agent) -> SystemInfo:
        """Return what an agent's row holds of its gateway."""
        told = agent.network_interfaces or []
        same = ("os_version", "architecture", "agent_version", "uptime_seconds", "cpu_usage")
        sizes = ("memory_usage", "memory_total", "storage_usage", "storage_total")
        return cls(
            **{name: getattr(agent, name) for name in (*same, *sizes)},
            ip=agent.ip_address,
            temperature=agent.cpu_temp,
            interfaces=[NetworkInterface.of(each) for each in told if isinstance(each, dict)],
        )
