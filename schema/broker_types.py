"""What is told of the broker, and of what agents send through it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry

from core.broker_figures import BrokerFigures
from resolvers.broker_view import BrokerView
from schema.scalars import Long


@strawberry.type(description="Clients of the broker, our own included; null what it does not tell.")
class BrokerClients:
    """Made of the figures."""

    connected: Long | None
    disconnected: Long | None = strawberry.field(
        description="Of those whose session it keeps; amqtt: since it started."
    )
    total: Long | None
    maximum: Long | None = strawberry.field(description="Connected at one time.")


@strawberry.type(description="Counted since the broker started; null what it does not tell.")
class BrokerMessages:
    """Made of the figures."""

    received: Long | None = strawberry.field(description="Packets of all kinds.")
    sent: Long | None = strawberry.field(description="Packets of all kinds.")
    published: Long | None = strawberry.field(description="Messages that clients have sent.")
    delivered: Long | None = strawberry.field(description="Messages that clients were sent.")
    dropped: Long | None = strawberry.field(description="Thrown away, as a queue was full.")


@strawberry.type(description="Counted since the broker started.")
class BrokerBytes:
    """Made of the figures."""

    received: Long | None
    sent: Long | None


@strawberry.type(description="Per second, over the last minute; null until there are two figures.")
class BrokerRates:
    """Made of the figures."""

    messages_received: float | None = strawberry.field(description="Packets of all kinds.")
    messages_sent: float | None = strawberry.field(description="Packets of all kinds.")
    published: float | None
    delivered: float | None
    bytes_received: float | None
    bytes_sent: float | None


@strawberry.type(description="What all agents of the tenant have sent since counting began.")
class AgentTrafficSums:
    """Read off TrafficSums."""

    agents: int = strawberry.field(description="How many have sent anything.")
    messages: Long
    bytes: Long = strawberry.field(description="Of the messages' payloads.")
    last_message_at: datetime | None


@strawberry.type(
    description="The broker at a moment. Its own figures are for owners of the installation's first "
    "tenant; they are null for all others, while it is away, and where it does not tell them."
)
class Broker:
    """Made of a BrokerView."""

    is_connected: bool = strawberry.field(description="Whether the one that watches it reaches it.")
    at: datetime | None = strawberry.field(description="When it was last heard of.")
    version: str | None
    uptime_seconds: Long | None
    clients: BrokerClients | None
    subscriptions: Long | None
    messages: BrokerMessages | None
    bytes: BrokerBytes | None
    rates: BrokerRates | None
    stored_messages: Long | None = strawberry.field(
        description="Retained, or waiting for a client."
    )
    retained_messages: Long | None = strawberry.field(description="Its own figures included.")
    queued_messages: Long | None = strawberry.field(description="Waiting for a client.")
    inflight_messages: Long | None = strawberry.field(description="Sent and not acknowledged.")
    traffic: AgentTrafficSums = strawberry.field(description="What the tenant's agents have sent.")

    @classmethod
    def of(cls, view: BrokerView) -> Broker:
        """Return what a caller is told."""
        figures, sums = view.figures, view.traffic
        one = figures or BrokerFigures()
        return cls(
            is_connected=view.is_connected,
            at=view.at,
            version=one.version,
            uptime_seconds=_long(one.uptime_seconds),
            clients=_clients(figures) if figures else None,
            subscriptions=_long(one.subscriptions),
            messages=_messages(figures) if figures else None,
            bytes=_bytes(figures) if figures else None,
            rates=_rates(figures) if figures else None,
            stored_messages=_long(one.messages_stored),
            retained_messages=_long(one.messages_retained),
            queued_messages=_long(one.messages_queued),
            inflight_messages=_long(one.messages_inflight),
            traffic=AgentTrafficSums(
                agents=sums.agents,
                messages=Long(sums.messages),
                bytes=Long(sums.bytes),
                last_message_at=sums.last_message_at,
            ),
        )


@strawberry.type(description="What an agent has sent over MQTT since counting began.")
class AgentTraffic:
    """Read off TrafficOfAgent."""

    agent_uuid: UUID
    agent_name: str
    last_message_at: datetime
    messages: Long
    bytes: Long = strawberry.field(description="Of the messages' payloads.")


def _long(number: int | None) -> Long | None:
    return None if number is None else Long(number)


def _clients(figures: BrokerFigures) -> BrokerClients:
    return BrokerClients(
        connected=_long(figures.clients_connected),
        disconnected=_long(figures.clients_disconnected),
        total=_long(figures.clients_total),
        maximum=_long(figures.clients_maximum),
    )


def _messages(figures: BrokerFigures) -> BrokerMessages:
    return BrokerMessages(
        received=_long(figures.messages_received),
        sent=_long(figures.messages_sent),
        published=_long(figures.publish_received),
        delivered=_long(figures.publish_sent),
        dropped=_long(figures.publish_dropped),
    )


def _bytes(figures: BrokerFigures) -> BrokerBytes:
    return BrokerBytes(received=_long(figures.bytes_received), sent=_long(figures.bytes_sent))


def _rates(figures: BrokerFigures) -> BrokerRates:
    return BrokerRates(
        messages_received=figures.messages_received_rate,
        messages_sent=figures.messages_sent_rate,
        published=figures.publish_received_rate,
        delivered=figures.publish_sent_rate,
        bytes_received=figures.bytes_received_rate,
        bytes_sent=figures.bytes_sent_rate,
    )
