"""Keys of access tokens: made on the command line, named by the settings, published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.clock import SystemClock
from core.ids import RandomIds
from fleetgraph import cli
from fleetgraph.settings import BadSettings, Settings
from fleetgraph.token_keys import JWKS_PATH, jwks_route, tokens_of

SECRET = "a secret of the tests, of 32 bytes or more"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "keys"
    monkeypatch.setenv("FLEETGRAPH_TOKEN_KEYS_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def make_key(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli.main(["token-key", "new", *arguments])
    return capsys.readouterr().out.strip()


def settings_of(algorithm: str, folder: Path | None) -> Settings:
    return Settings(token={"algorithm": algorithm, "keys_dir": folder})


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_a_new_key_signs_from_the_next_start(
    folder: Path, algorithm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kids = [make_key(capsys, "--algorithm", algorithm) for _ in range(2)]
    assert sorted(path.stem for path in folder.iterdir()) == kids
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    tokens = tokens_of(settings_of(algorithm, folder), SECRET, SystemClock())
    ids = RandomIds()
    token, _ = tokens.issue(ids.uuid(), 1, ids.uuid())
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": kids[-1], "typ": "JWT"}
    with TestClient(Starlette(routes=[jwks_route(tokens)])) as client:
        answer = client.get(JWKS_PATH)
    published: list[dict[str, Any]] = answer.json()["keys"]
    assert [key["kid"] for key in published] == kids
    assert {key["alg"] for key in published} == {algorithm}
    assert "max-age" in answer.headers["cache-control"]


def test_a_secret_publishes_nothing() -> None:
    tokens = tokens_of(settings_of("HS256", None), SECRET, SystemClock())
    with TestClient(Starlette(routes=[jwks_route(tokens)])) as client:
        assert client.get(JWKS_PATH).json() == {"keys": []}


def test_settings_without_a_usable_key_are_refused_at_the_start(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for algorithm, given in (("EdDSA", None), ("EdDSA", folder)):
        with pytest.raises(BadSettings, match="FLEETGRAPH_TOKEN_KEYS_DIR"):
            tokens_of(settings_of(algorithm, given), SECRET, SystemClock())
    make_key(capsys)
    tokens_of(settings_of("EdDSA", folder), SECRET, SystemClock())
    with pytest.raises(BadSettings, match="not a key for RS256"):
        tokens_of(settings_of("RS256", folder), SECRET, SystemClock())


def test_a_key_needs_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FLEETGRAPH_TOKEN_KEYS_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["token-key", "new"])
    assert "FLEETGRAPH_TOKEN_KEYS_DIR" in capsys.readouterr().err
