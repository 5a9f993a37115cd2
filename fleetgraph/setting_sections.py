"""The groups of settings: names, bounds, defaults, and what each is for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from fleetgraph.setting_types import Networks, Origins, Port, Section, at_least
from fleetgraph.urls import check_database_url, check_redis_url


class HttpSettings(Section):
    """The API server."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port | None = Field(
        None, description="Port of the API; without it 3002, or the next free one under `up`."
    )
    body_bytes_max: int = Field(
        16 * 1024 * 1024, ge=1024, description="Largest request body, after inflation."
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Address under which people reach this server, for links in mail; absent: "
        "the address it listens on.",
    )
    origins: Origins = Field(
        (),
        description="Origins, besides the API's own, whose pages may call it and open WebSockets, "
        "with commas between; `*`: any.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto "
        "are believed, with commas between.",
    )
    hsts_seconds: int = Field(
        0, ge=0, le=63_072_000, description="Strict-Transport-Security on answers; 0: none."
    )


class GraphqlSettings(Section):
    """The GraphQL endpoint: how operations may come, and how much one may ask."""

    ide: bool = Field(True, description="Show GraphiQL to browsers that open the endpoint.")
    introspection: Literal["open", "signed-in", "off"] = Field(
        "open", description="Who may ask for the schema; the schema itself is no secret."
    )
    get: bool = Field(False, description="Answer queries sent by GET, too; never mutations.")
    batch_max: int = Field(
        1, ge=1, le=100, description="Operations in one POST; 1: batches are refused."
    )
    allow_list: Path | None = Field(
        None,
        description="JSON file of permitted documents by id (SHA-256 in hex, or any name); "
        "present: nothing else runs.",
    )
    body_bytes_max: int = Field(
        1024 * 1024, ge=1024, description="Largest request body, after inflation, or message."
    )
    depth_max: int = Field(12, ge=3, le=100, description="Levels of fields in an operation.")
    aliases_max: int = Field(200, ge=0, le=10_000, description="Aliases in an operation.")
    fields_max: int = Field(1_000, ge=10, le=100_000, description="Fields in an operation.")
    root_fields_max: int = Field(20, ge=1, le=1_000, description="Fields at an operation's root.")
    tokens_max: int = Field(5_000, ge=100, le=1_000_000, description="Tokens in a document.")
    cost_max: int = Field(
        50_000, ge=100, description="Cost of one operation of a person: list sizes times depth."
    )
    agent_cost_max: int = Field(1_000, ge=10, description="Cost of one operation of an agent.")
    operation_seconds_max: float = Field(
        30.0, ge=0.1, le=3_600, description="How long a query or mutation may run."
    )
    documents_max: int = Field(
        1_000, ge=10, le=100_000, description="Prepared documents kept in memory."
    )
    sockets_max: int = Field(
        20_000, ge=1, le=1_000_000, description="Open WebSockets of one process."
    )
    subscriptions_max: int = Field(
        100, ge=1, le=10_000, description="Subscriptions of one connection."
    )
    init_seconds_max: float = Field(
        10.0, ge=0.1, le=300, description="How long a WebSocket may take to introduce itself."
    )
    ping_seconds: float = Field(
        25.0, ge=1, le=3_600, description="Silence after which a WebSocket is pinged; twice: cut."
    )
    client_queue_bytes: int = Field(
        65_536, ge=4_096, description="Unsent bytes of one connection before the newest win."
    )
    client_queue_events: int = Field(
        1_000, ge=10, description="Events that must not be lost and may wait for one connection."
    )
    slow_client_seconds: float = Field(
        10.0, ge=1, le=3_600, description="How long a connection may take nothing before it is cut."
    )


class DatabaseSettings(Section):
    """PostgreSQL."""

    url: Annotated[SecretStr, AfterValidator(check_database_url)] | None = Field(
        None, description="postgresql://user:password@host:port/name; absent: embedded."
    )
    pool_size: int = Field(8, ge=2, le=200, description="Connections for rows, per process.")
    readings_pool_size: int = Field(
        6, ge=2, le=200, description="Connections for readings, per process."
    )


class RedisSettings(Section):
    """Redis, the bus between processes. Without it they use PostgreSQL's LISTEN/NOTIFY."""

    url: Annotated[SecretStr, AfterValidator(check_redis_url)] | None = Field(
        None, description="redis://host:port/0 or rediss://…"
    )


class AdminSettings(Section):
    """The first owner, made when the database is new."""

    email: str = Field(
        "admin@example.com", pattern=r"^[^@\s]+@[^@\s]+$", description="The owner's e-mail."
    )
    password: Annotated[SecretStr, at_least(12)] | None = Field(
        None,
        description="The owner's password; absent: made up once and shown at start.",
    )


class AccountSettings(Section):
    """People and how they get an account."""

    registration: Literal["open", "invitation", "closed"] | None = Field(
        None,
        description="Who may register: everybody (as viewer of the first tenant), who was invited, "
        "or nobody. Absent: by invitation, but open under `up --demo`.",
    )
    reset_minutes: int = Field(
        60, ge=5, le=1_440, description="How long the link in a password mail is good."
    )
    invitation_days: int = Field(7, ge=1, le=90, description="How long an invitation is good.")


class TokenSettings(Section):
    """Access and refresh tokens."""

    ttl_seconds: int = Field(900, ge=60, le=86_400, description="How long an access token is good.")
    session_days: int = Field(
        7, ge=1, le=365, description="How long a login lasts, however often it is refreshed."
    )
    retry_seconds: int = Field(
        30,
        ge=0,
        le=300,
        description="How long a rotated refresh token gets the same successor again, for clients "
        "whose first answer was lost; later its use ends the session.",
    )
    algorithm: Literal["HS256", "EdDSA", "RS256"] = Field(
        "HS256",
        description="How access tokens are signed: with a secret of the installation, or with a "
        "private key from keys_dir, so that others can verify them.",
    )
    keys_dir: Path | None = Field(
        None,
        description="Folder of PEM private keys named `<kid>.pem` for EdDSA or RS256; all verify, "
        "the last by name signs.",
    )


class MailSettings(Section):
    """Mail by SMTP. Without a host, mail is written into an outbox folder of the data folder."""

    host: str = Field("", description="SMTP server; absent: mail goes to the outbox folder.")
    port: Port = Field(587, description="Port of the SMTP server.")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection is protected; none has to be asked for."
    )
    user: str = Field("", description="Login at the SMTP server.")
    password: SecretStr | None = Field(None, description="Password at the SMTP server.")
    sender: str = Field(
        "Fleetgraph <fleetgraph@localhost>", min_length=3, description="The mails' From."
    )


class LimitSettings(Section):
    """How often callers may call, each counted over a moving minute."""

    global_per_minute: int = Field(
        1_000, ge=1, description="Calls of one person, API key or address."
    )
    auth_per_minute: int = Field(
        10,
        ge=1,
        description="Attempts to sign in, per account and per address; refreshes, per session.",
    )
    device_per_minute: int = Field(10_000, ge=1, description="Calls of one agent.")
    admin_per_minute: int = Field(
        100, ge=1, description="Calls that manage people, keys or the system, per caller."
    )
    provisioning_failures_per_hour: int = Field(
        10,
        ge=1,
        description="Failed attempts of agents to register, per address; beyond it none may "
        "register from there for a while.",
    )


class DataSettings(Section):
    """Where the program keeps its own files."""

    dir: Path | None = Field(
        None, description="Data folder; absent: /var/lib/fleetgraph for root, else below the home."
    )
    secret: Annotated[SecretStr, at_least(32)] | None = Field(
        None,
        description="Master secret of all tokens and derived passwords; absent: made once and "
        "kept in the data folder. Processes that share a database must share it.",
    )


class LogSettings(Section):
    """Logging, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level.")
    format: Literal["auto", "json", "text"] = Field(
        "auto", description="auto: text on a terminal, else JSON lines."
    )


class RetentionSettings(Section):
    """How long things are kept."""

    journal_hours: int = Field(
        6, ge=1, le=168, description="How far back a live stream can resume."
    )
    audit_days: int = Field(
        730, ge=1, le=36_500, description="How long events of the audit log are kept."
    )
    agent_metrics_days: int = Field(
        30, ge=1, le=3_650, description="How long the gateways' own figures are kept."
    )
    logs_days: int = Field(90, ge=1, le=3_650, description="How long log lines of agents are kept.")
    target_state_versions: int = Field(
        100, ge=1, le=10_000, description="How many versions of each target state are kept."
    )
    adapter_history_days: int = Field(
        30, ge=1, le=3_650, description="How long the history of endpoints' health is kept."
    )
    state_history_days: int = Field(
        30, ge=1, le=3_650, description="How long the history of what agents reported is kept."
    )
