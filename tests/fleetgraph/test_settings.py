"""Settings come from the environment, then the file; all mistakes are told at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleetgraph.settings import BadSettings, load_settings, variables


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty environment, and a folder without a file."""
    for name in list(os.environ):
        if name.startswith("FLEETGRAPH_") and not name.startswith("FLEETGRAPH_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def problems() -> list[str]:
    with pytest.raises(BadSettings) as caught:
        load_settings()
    return caught.value.problems


def test_nothing_needs_to_be_set() -> None:
    settings = load_settings()
    assert settings.database.url is None
    assert settings.http.host == "127.0.0.1"
    assert settings.mqtt.client_id == "fleetgraph-ingest"


def test_a_variable_sets_a_key_with_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETGRAPH_MQTT_PUBLIC_HOST", "broker.example.com")
    monkeypatch.setenv("FLEETGRAPH_AGENT_ONLINE_WINDOW_SECONDS", "60")
    settings = load_settings()
    assert settings.mqtt.public_host == "broker.example.com"
    assert settings.agent.online_window_seconds == 60


@pytest.mark.parametrize("name", variables())
def test_every_variable_reaches_its_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    section, key, field = variables()[name]
    examples = {
        "database_url": "postgresql://u:p@db:5432/fleet",
        "redis_url": "redis://redis:6379/1",
        "mqtt_url": "mqtts://u:p@broker",
        "mqtt_version": "3.1.1",
        "mqtt_broker": "amqtt",
        "mqtt_public_protocol": "wss",
        "admin_email": "owner@example.com",
        "log_level": "debug",
        "log_format": "json",
        "token_ttl_seconds": "120",
        "http_body_bytes_max": "2048",
        "graphql_body_bytes_max": "2048",
        "graphql_ide": "false",
        "graphql_introspection": "off",
        "graphql_get": "true",
        "http_origins": "https://one.example, https://two.example",
        "http_public_url": "https://fleet.example",
        "account_registration": "open",
        "token_algorithm": "EdDSA",
        "mail_security": "tls",
        "mail_sender": "Plant <plant@example.com>",
        "http_trusted_proxies": "10.0.0.0/8",
        "graphql_tokens_max": "700",
        "graphql_cost_max": "700",
        "graphql_client_queue_bytes": "7777",
    }
    wide_enough = "7" * 40 if "secret" in key or "password" in key else "77"
    monkeypatch.setenv(name, examples.get(f"{section}_{key}", wide_enough))
    found = getattr(getattr(load_settings(), section), key)
    assert found != field.default


def test_the_file_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = '[http]\nport = 4000\nhost = "::1"\n[log]\nlevel = "debug"\n'
    (tmp_path / "fleetgraph.toml").write_text(file)
    monkeypatch.setenv("FLEETGRAPH_HTTP_PORT", "5000")
    settings = load_settings()
    assert (settings.http.port, settings.http.host, settings.log.level) == (5000, "::1", "debug")


def test_the_command_line_wins_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETGRAPH_HTTP_PORT", "5000")
    monkeypatch.setenv("FLEETGRAPH_HTTP_HOST", "::1")
    settings = load_settings(http={"port": 6000})
    assert (settings.http.port, settings.http.host) == (6000, "::1")


def test_another_file_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[http]\nport = 4001\n")
    monkeypatch.setenv("FLEETGRAPH_CONFIG", "other.toml")
    assert load_settings().http.port == 4001


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETGRAPH_CONFIG", "absent.toml")
    assert problems() == ["FLEETGRAPH_CONFIG: there is no file absent.toml"]


def test_all_mistakes_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETGRAPH_HTTP_PORT", "99999")
    monkeypatch.setenv("FLEETGRAPH_DATABASE_URL", "mysql://db")
    monkeypatch.setenv("FLEETGRAPH_MQTT_URL", "mqtt://broker")
    monkeypatch.setenv("FLEETGRAPH_REDIS_URL", "http://redis")
    monkeypatch.setenv("FLEETGRAPH_DATA_SECRET", "short")
    monkeypatch.setenv("FLEETGRAPH_HTTP_PROT", "1")
    found = problems()
    assert "FLEETGRAPH_HTTP_PROT: there is no such setting; did you mean FLEETGRAPH_HTTP_PORT?" in (
        found
    )
    for name, words in {
        "FLEETGRAPH_HTTP_PORT (or http.port in the file)": "65535",
        "FLEETGRAPH_DATABASE_URL": "postgresql://",
        "FLEETGRAPH_MQTT_URL": "names a user",
        "FLEETGRAPH_REDIS_URL": "starts with redis://",
        "FLEETGRAPH_DATA_SECRET": "at least 32 characters",
    }.items():
        assert any(text.startswith(name) and words in text for text in found), (name, found)


def test_a_mistake_never_shows_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETGRAPH_DATABASE_URL", "mysql://u:topsecret@db")
    monkeypatch.setenv("FLEETGRAPH_ADMIN_PASSWORD", "topsecret")
    assert len(problems()) == 2
    assert "topsecret" not in "\n".join(problems())


@pytest.mark.parametrize("text", ["[http]\nprot = 1\n", "[nothing]\nx = 1\n", "[http\n"])
def test_a_file_with_a_mistake_stops_the_start(text: str, tmp_path: Path) -> None:
    (tmp_path / "fleetgraph.toml").write_text(text)
    assert problems()


def test_secrets_do_not_show_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETGRAPH_DATABASE_URL", "postgresql://u:topsecret@db:5432/fleet")
    monkeypatch.setenv("FLEETGRAPH_DATA_SECRET", "topsecret" * 4)
    assert "topsecret" not in repr(load_settings())


@pytest.mark.parametrize(
    ("variable", "text", "found"),
    [
        ("ORIGINS", "", ()),
        ("ORIGINS", "*", ("*",)),
        (
            "ORIGINS",
            "https://Page.Test, http://localhost:5173",
            ("https://page.test", "http://localhost:5173"),
        ),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1,", ("10.0.0.0/8", "::1")),
    ],
)
def test_lists_about_the_network_are_read(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, found: tuple[str, ...]
) -> None:
    monkeypatch.setenv(f"FLEETGRAPH_HTTP_{variable}", text)
    assert getattr(load_settings().http, variable.lower()) == found


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ORIGINS", "page.test"),
        ("ORIGINS", "https://page.test/"),
        ("ORIGINS", "https://page.test/app"),
        ("ORIGINS", "https://user@page.test"),
        ("ORIGINS", "https://page.test:port"),
        ("ORIGINS", "https://*.page.test"),
        ("ORIGINS", "null"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "proxy.test"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
    ],
)
def test_lists_about_the_network_are_refused_when_they_would_mean_nothing(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(f"FLEETGRAPH_HTTP_{variable}", text)
    with pytest.raises(BadSettings, match=f"FLEETGRAPH_HTTP_{variable}"):
        load_settings()
