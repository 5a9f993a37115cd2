"""Settings: environment first, then a TOML file, then defaults that work on one machine.

What is absent means the embedded part. This is the only file that reads the environment.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from fleetgraph.agent_settings import AgentSettings, MqttSettings
from fleetgraph.setting_sections import (
    AccountSettings,
    AdminSettings,
    DatabaseSettings,
    DataSettings,
    GraphqlSettings,
    HttpSettings,
    LimitSettings,
    LogSettings,
    MailSettings,
    RedisSettings,
    RetentionSettings,
    TokenSettings,
)
from fleetgraph.setting_types import Section

PREFIX = "FLEETGRAPH_"
FILE_VARIABLE = "FLEETGRAPH_CONFIG"
FILE_DEFAULT = "fleetgraph.toml"


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
    account: AccountSettings = AccountSettings()
    token: TokenSettings = TokenSettings()
    mail: MailSettings = MailSettings()
    limit: LimitSettings = LimitSettings()
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
