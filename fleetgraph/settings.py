"""Settings: environment first, then a TOML file, then defaults that work on one machine.

What is absent means the embedded part. This is the only file that reads the environment.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from fleetgraph.setting_types import Port, Texts, at_least
from fleetgraph.urls import check_broker_url, check_database_url, check_redis_url

PREFIX = "FLEETGRAPH_"
FILE_VARIABLE = "FLEETGRAPH_CONFIG"
FILE_DEFAULT = "fleetgraph.toml"


class Section(BaseModel):
    """Base of the groups of settings; a key that does not exist is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpSettings(Section):
    """The API server."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port | None = Field(
        None, description="Port of the API; without it 3002, or the next free one under `up`."
    )
    body_bytes_max: int = Field(
        16 * 1024 * 1024, ge=1024, description="Largest request body, after inflation."
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
    origins: Texts = Field(
        (),
        description="Origins, besides the API's own, whose pages may open WebSockets, with commas "
        "between; `*`: any.",
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
        description="Client id of ingest; must stay the same, the broker keeps its queue.",
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
    public_protocol: Literal["mqtt", "mqtts", "ws", "wss"] = Field(
        "mqtt", description="How agents reach the broker."
    )
    public_host: str = Field(
        "", description="Broker's name for agents; absent: the host they reached the API under."
    )
    public_port: Port | None = Field(None, description="Broker's port for agents; absent: as ours.")


class AdminSettings(Section):
    """The first owner, made when the database is new."""

    email: str = Field(
        "admin@example.com", pattern=r"^[^@\s]+@[^@\s]+$", description="The owner's e-mail."
    )
    password: Annotated[SecretStr, at_least(12)] | None = Field(
        None,
        description="The owner's password; absent: made up once and shown at start.",
    )


class TokenSettings(Section):
    """Access tokens."""

    ttl_seconds: int = Field(
        3600, ge=60, le=86_400, description="How long an access token is good."
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


class Settings(BaseSettings):
    """All settings. `FLEETGRAPH_<SECTION>_<NAME>` or `[section] name = …` in the file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        extra="forbid",
        frozen=True,
    )
    toml_file: ClassVar[Path | None] = None

    http: HttpSettings = HttpSettings()
    graphql: GraphqlSettings = GraphqlSettings()
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    mqtt: MqttSettings = MqttSettings()
    admin: AdminSettings = AdminSettings()
    token: TokenSettings = TokenSettings()
    data: DataSettings = DataSettings()
    log: LogSettings = LogSettings()
    retention: RetentionSettings = RetentionSettings()
    agent: AgentSettings = AgentSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, then environment, then the file."""
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if cls.toml_file is not None:
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=cls.toml_file))
        return tuple(sources)


class BadSettings(Exception):
    """Settings that cannot be used: `problems` holds every one, in the operator's words."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_settings(**overrides: dict[str, Any]) -> Settings:
    """Read all settings; raises BadSettings with every problem, not only the first.

    `overrides` come from the command line, by section: `http={"port": 3002}`.
    """
    problems = list(_unknown_variables())
    file = _file(problems)
    loader = type("LoadedSettings", (Settings,), {"toml_file": file, "__module__": __name__})
    try:
        settings: Settings = loader(**overrides)
    except ValidationError as error:
        problems += [_sentence(detail) for detail in error.errors(include_url=False)]
    except (OSError, ValueError) as error:
        problems.append(f"{file}: {error}")
    if problems:
        raise BadSettings(problems)
    return settings


def _file(problems: list[str]) -> Path | None:
    named = os.environ.get(FILE_VARIABLE)
    path = Path(named or FILE_DEFAULT)
    if path.is_file():
        return path
    if named:
        problems.append(f"{FILE_VARIABLE}: there is no file {path}")
    return None


def variables() -> dict[str, tuple[str, str, Any]]:
    """Return every variable: name -> (section, key, the field's description and default)."""
    found = {}
    for section, section_field in Settings.model_fields.items():
        model = section_field.annotation
        assert isinstance(model, type)
        assert issubclass(model, Section)
        for key, field in model.model_fields.items():
            found[f"{PREFIX}{section}_{key}".upper()] = (section, key, field)
    return found


def _unknown_variables() -> Iterator[str]:
    known = {*variables(), FILE_VARIABLE}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known and not name.startswith("FLEETGRAPH_TEST"):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield f"{name}: there is no such setting{hint}"


def _sentence(detail: Any) -> str:
    path = [str(part) for part in detail["loc"]]
    name = f"{PREFIX}{'_'.join(path[:2])}".upper()
    where = f"{name} (or {'.'.join(path)} in the file)"
    # The value itself is not shown: it may be a secret.
    return f"{where}: {detail['msg'].removeprefix('Value error, ')}"
