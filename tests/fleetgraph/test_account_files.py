"""What the files of a broker say, beyond what was written there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.broker_accounts import AclRule, BrokerAccount, hash_broker_password
from core.broker_drift import Drift, DriftKind
from fleetgraph.account_files import AccountFiles

PLATFORM = BrokerAccount("fleetgraph", hash_broker_password("x", b"salt"), is_platform=True)
ONE = BrokerAccount("T/a/1", hash_broker_password("one", b"salt"))
TWO = BrokerAccount("T/a/2", hash_broker_password("two", b"salt"))
HISTORIAN = BrokerAccount(
    "historian",
    hash_broker_password("h", b"salt"),
    rules=(AclRule("i/#", read=True, write=False),),
)
ACCOUNTS = [PLATFORM, ONE, TWO, HISTORIAN]


@pytest.fixture
def files(tmp_path: Path) -> AccountFiles:
    files = AccountFiles(tmp_path, lambda path, text: path.write_text(text))
    files.inspect([], None)  # the look that comes before the first write
    return files


def drifts(files: AccountFiles) -> list[Drift]:
    return files.inspect(ACCOUNTS, files.mark)


def edit(name: str, change: Callable[[str], str]) -> Callable[[Path], object]:
    def run(folder: Path) -> None:
        path = folder / name
        path.write_text(change(path.read_text()))

    return run


def without_line(start: str) -> Callable[[str], str]:
    return lambda text: "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith(start)
    )


def lose_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


EDITS: dict[str, tuple[Callable[[Path], object], list[Drift]]] = {
    "an account less": (
        edit("passwords", without_line("T/a/1:")),
        [Drift(DriftKind.ACCOUNT_MISSING, "T/a/1")],
    ),
    "an account more": (
        edit("passwords", lambda text: text + "intruder:$7$101$c2FsdA==$a2V5\n"),
        [Drift(DriftKind.ACCOUNT_UNKNOWN, "intruder")],
    ),
    "another password": (
        edit("passwords", lambda text: text.replace(ONE.password_hash, TWO.password_hash, 1)),
        [Drift(DriftKind.PASSWORD_DIFFERS, "T/a/1")],
    ),
    "a second line for a name": (
        edit("passwords", lambda text: text + f"T/a/1:{TWO.password_hash}\n"),
        [Drift(DriftKind.PASSWORD_DIFFERS, "T/a/1")],
    ),
    "a wider pattern": (
        edit("acl", lambda text: "pattern readwrite i/%u/#\n" + text),
        [Drift(DriftKind.RULES_DIFFER, "*")],
    ),
    "a pattern below a user": (
        edit("acl", lambda text: text + "pattern readwrite #\n"),
        [Drift(DriftKind.RULES_DIFFER, "*")],
    ),
    "a wider rule": (
        edit("acl", lambda text: text.replace("topic read i/#", "topic readwrite i/#")),
        [Drift(DriftKind.RULES_DIFFER, "historian")],
    ),
    "rules of a user more": (
        edit("acl", lambda text: text + "\nuser T/a/1\ntopic readwrite #\n"),
        [Drift(DriftKind.RULES_DIFFER, "T/a/1")],
    ),
    "a user's rules less": (
        edit("acl", lambda text: text.partition("\nuser historian")[0]),
        [Drift(DriftKind.RULES_DIFFER, "historian")],
    ),
    "a comment": (
        edit("acl", lambda text: "# mine\n" + text),
        [Drift(DriftKind.FILE_DIFFERS, "acl")],
    ),
    "half a line": (
        edit("passwords", lambda text: text + "c2VjcmV0IGhhc2g="),
        [Drift(DriftKind.FILE_DIFFERS, "passwords")],
    ),
    "no text": (
        lambda folder: (folder / "passwords").write_bytes(b"\xff\xfe"),
        [Drift(DriftKind.FILE_UNREADABLE, "passwords")],
    ),
    "a lost file": (
        lambda folder: (folder / "acl").unlink(),
        [Drift(DriftKind.FILE_LOST, "acl")],
    ),
    "both lost": (
        lose_all,
        [Drift(DriftKind.FILE_LOST, "acl"), Drift(DriftKind.FILE_LOST, "passwords")],
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_hand_in_the_files_is_seen_named_and_undone(
    name: str, files: AccountFiles, tmp_path: Path
) -> None:
    files.write(ACCOUNTS)
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert not files.was_touched()
    change, expected = EDITS[name]
    change(tmp_path)
    assert files.was_touched()
    assert drifts(files) == expected
    assert files.write(ACCOUNTS)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == kept
    assert not files.was_touched()
    assert drifts(files) == []


def test_what_is_equal_is_not_written_again(files: AccountFiles, tmp_path: Path) -> None:
    assert files.write(ACCOUNTS)
    before = (tmp_path / "passwords").stat().st_mtime_ns
    other = AccountFiles(tmp_path, lambda *_: pytest.fail("written again"))
    assert not other.write([*reversed(ACCOUNTS)])
    assert (tmp_path / "passwords").stat().st_mtime_ns == before
    assert other.mark == files.mark


def test_a_change_of_ours_is_no_drift(files: AccountFiles, tmp_path: Path) -> None:
    """Neither in this program nor when another one finds what we wrote."""
    files.write(ACCOUNTS[:2])
    mark = files.mark
    assert files.inspect(ACCOUNTS, mark) == []
    later = AccountFiles(tmp_path, lambda path, text: path.write_text(text))
    later.write(ACCOUNTS)  # a broker starts with the newest accounts before anybody looks
    assert later.inspect(ACCOUNTS, mark) == []


def test_an_old_copy_is_told_although_a_start_has_replaced_it(
    files: AccountFiles, tmp_path: Path
) -> None:
    files.write(ACCOUNTS[:2])
    old = {path.name: path.read_text() for path in tmp_path.iterdir()}
    files.write(ACCOUNTS)
    mark = files.mark
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    later = AccountFiles(tmp_path, lambda path, text: path.write_text(text))
    later.write(ACCOUNTS)
    assert set(later.inspect(ACCOUNTS, mark)) == {
        Drift(DriftKind.ACCOUNT_MISSING, "T/a/2"),
        Drift(DriftKind.ACCOUNT_MISSING, "historian"),
        Drift(DriftKind.RULES_DIFFER, "historian"),
    }
    assert later.inspect(ACCOUNTS, mark) == [], "told once"


def test_files_that_were_never_ours_have_not_drifted(files: AccountFiles, tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("somebody:$7$101$c2FsdA==$a2V5\n")
    assert files.inspect(ACCOUNTS, None) == []


def test_a_hash_never_is_a_subject(files: AccountFiles, tmp_path: Path) -> None:
    files.write(ACCOUNTS)
    changed = [replace(each, password_hash=hash_broker_password("new")) for each in ACCOUNTS]
    found = files.inspect(changed, "another mark")
    assert found == []  # what is there is what this program wrote
    (tmp_path / "passwords").write_text(f"{ONE.password_hash}\nx:{TWO.password_hash}\n")
    for drift in files.inspect(ACCOUNTS, files.mark):
        assert "$7$" not in drift.subject
