"""The groups of settings about agents and the broker that they reach."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from fleetgraph.setting_types import Port, Section
from fleetgraph.urls import check_broker_url


class MqttSettings(Section):
    """The broker."""

    url: Annotated[SecretStr, AfterValidator(check_broker_url)] | None = Field(
        None, description="mqtt://user:password@host:1883 or mqtts://…; absent: embedded."
    )
    host: str = Field("127.0.0.1", description="Address the embedded broker listens on.")
    port: Port | None = Field(
        None, description="Port of the embedded broker; without it 1883, or the next free one."
    )
    broker: Literal["auto", "mosquitto", "amqtt"] = Field(
        "auto", description="Which embedded broker: mosquitto when installed, else amqtt."
    )
    client_id: str = Field(
        "fleetgraph-ingest",
        min_length=1,
        max_length=64,
        description="How the client id of ingest begins; must stay the same, the broker keeps its queue.",
    )
    version: Literal["5", "3.1.1"] = Field("5", description="Protocol for a broker named by url.")
    ca_file: Path | None = Field(
        None, description="PEM of the authority behind the broker's certificate, if private."
    )
    accounts_dir: Path | None = Field(
        None,
        description="Folder where the accounts of a broker named by url are written as Mosquitto "
        "files (`passwords`, `acl`); absent: its accounts are looked after elsewhere.",
    )
    tls_port: Port | None = Field(
        None, description="Port of the embedded broker's TLS listener; absent: there is none."
    )
    tls_host: str = Field(
        "", description="Address the TLS listener listens on; absent: as the plain one."
    )
    tls_dir: Path | None = Field(
        None,
        description="Folder with `server.pem` and `server.key` for the TLS listener, and `ca.pem` "
        "for agents if the authority is private; `fleetgraph certificates make` writes them.",
    )
    client_ca_file: Path | None = Field(
        None,
        description="PEM of the authority of clients: the TLS listener then admits only clients "
        "with a certificate of it, beside their password.",
    )
    callback_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="What a broker's plugin shows when it asks by HTTP who may do what; absent: "
        "nobody may ask.",
    )
    public_protocol: Literal["mqtt", "mqtts", "ws", "wss"] | None = Field(
        None, description="How agents reach the broker; absent: mqtts where it has TLS, else mqtt."
    )
    public_host: str = Field(
        "", description="Broker's name for agents; absent: the host they reached the API under."
    )
    public_port: Port | None = Field(
        None, description="Broker's port for agents; absent: as it is."
    )


class AgentSettings(Section):
    """What is expected of agents."""

    online_window_seconds: int = Field(
        300, ge=10, le=86_400, description="Silence after which an agent counts as offline."
    )
    clock_past_days_max: int = Field(
        400, ge=1, le=3650, description="Older readings go to the dead letters."
    )
    clock_future_hours_max: int = Field(
        24, ge=1, le=720, description="Readings further ahead go to the dead letters."
    )
    update_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="Signs update commands: UPDATE_COMMAND_SECRET of the agents; absent: unsigned.",
    )
