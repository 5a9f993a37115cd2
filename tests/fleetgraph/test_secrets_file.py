"""The master secret is made once and stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetgraph.secrets_file import FILE_NAME, master_secret


def test_is_made_once(tmp_path: Path) -> None:
    made = master_secret(tmp_path / "new" / "folder", None)
    assert len(made) >= 32
    assert master_secret(tmp_path / "new" / "folder", None) == made
    assert master_secret(tmp_path / "other", None) != made


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    master_secret(tmp_path / "data", None)
    assert (tmp_path / "data" / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_one_that_is_given_is_taken_and_not_written(tmp_path: Path) -> None:
    assert master_secret(tmp_path, "given" * 10) == "given" * 10
    assert list(tmp_path.iterdir()) == []


def test_the_first_one_to_finish_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(_nbytes: int) -> str:
        (tmp_path / FILE_NAME).write_text("theirs")
        return "ours"

    monkeypatch.setattr("secrets.token_urlsafe", meanwhile)
    assert master_secret(tmp_path, None) == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
