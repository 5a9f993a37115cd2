"""The two files that tell a Mosquitto its accounts: written whole, looked at, compared."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from core.broker_accounts import BrokerAccount, render_acl_file, render_password_file
from core.broker_drift import SUBJECT_CHARS_MAX, Drift, DriftKind
from core.masking import clean_text

NAMES: Final = ("acl", "passwords")
"""The passwords come last: who watches that file finds both up to date."""

_PATTERNS: Final = "*"
"""What the lines before the first user are called: the rules of every agent."""

_Lines = dict[str, list[str]]


class AccountFiles:
    """`acl` and `passwords` in one folder.

    Between processes that share the folder equal accounts make equal files, and what is equal is
    not written again.
    """

    def __init__(self, folder: Path, put: Callable[[Path, str], object]) -> None:
        """Write with `put`, which replaces a file as a whole."""
        self.folder = folder
        self._put = put
        self._mark: str | None = None
        self._stamp: list[tuple[int, int, int] | None] = []
        self._before: dict[str, str | None] | None = None
        self._inspected = False

    def write(self, accounts: Sequence[BrokerAccount]) -> bool:
        """Write what differs; say whether anything did."""
        texts = _render(accounts)
        found = {name: self._read(name) for name in NAMES}
        if not self._inspected and self._mark is None:
            self._before = found  # the broker starts before anybody looks
        self._mark = mark_of(texts)
        for name in NAMES:
            if found[name] != texts[name]:
                self._put(self.folder / name, texts[name])
        self._stamp = self._look()
        return found != texts

    def inspect(self, accounts: Sequence[BrokerAccount], mark: str | None) -> list[Drift]:
        """Return how the files, or those that were there before our first `write`, differ."""
        self._inspected = True
        found, self._before = self._before, None
        if found is None:
            found = {name: self._read(name) for name in NAMES}
        if mark is None or mark_of(found) in {mark, self._mark}:
            return []
        texts = _render(accounts)
        return [
            drift
            for name in NAMES
            if found[name] != texts[name]
            for drift in self._compare(name, found[name], texts[name])
        ]

    @property
    def mark(self) -> str:
        """A digest of what was last written."""
        return self._mark or ""

    def was_touched(self) -> bool:
        """Say whether a file is another one than we left there."""
        return bool(self._stamp) and self._look() != self._stamp

    def _compare(self, name: str, found: str | None, text: str) -> Iterator[Drift]:
        if found is None:
            is_there = (self.folder / name).exists()
            yield Drift(DriftKind.FILE_UNREADABLE if is_there else DriftKind.FILE_LOST, name)
            return
        split = _passwords_by_user if name == "passwords" else _rules_by_user
        drifts = [*_differences(split(found), split(text), is_acl=name == "acl")]
        yield from drifts or [Drift(DriftKind.FILE_DIFFERS, name)]

    def _read(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(self.folder / name) for name in NAMES]


def mark_of(texts: dict[str, str | None] | dict[str, str]) -> str:
    """Return a digest of both files."""
    digest = hashlib.sha256()
    for name in NAMES:
        text = texts[name]
        digest.update(b"-" if text is None else hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()


def _render(accounts: Sequence[BrokerAccount]) -> dict[str, str]:
    return {"acl": render_acl_file(accounts), "passwords": render_password_file(accounts)}


def _differences(found: _Lines, wanted: _Lines, *, is_acl: bool) -> Iterator[Drift]:
    differs = DriftKind.RULES_DIFFER if is_acl else DriftKind.PASSWORD_DIFFERS
    missing = differs if is_acl else DriftKind.ACCOUNT_MISSING
    unknown = differs if is_acl else DriftKind.ACCOUNT_UNKNOWN
    for user in sorted({*found, *wanted}):
        if user not in found:
            kind = missing
        elif user not in wanted:
            kind = unknown
        elif found[user] != wanted[user]:
            kind = differs
        else:
            continue
        yield Drift(kind, clean_text(user, SUBJECT_CHARS_MAX))


def _passwords_by_user(text: str) -> _Lines:
    found: _Lines = defaultdict(list)
    for line in text.splitlines():
        user, separator, password_hash = line.partition(":")
        # Whatever a line without a separator is, it may be half a hash.
        if line and separator and not line.startswith("#"):
            found[user].append(password_hash)
    return found


def _rules_by_user(text: str) -> _Lines:
    found: _Lines = defaultdict(list)
    user = _PATTERNS
    for line in text.splitlines():
        if line.startswith("user "):
            user = line.removeprefix("user ").strip()
            found[user] = found[user]  # known even without a rule
        elif line and not line.startswith("#"):
            # A pattern holds for everybody wherever it stands.
            found[_PATTERNS if line.startswith("pattern ") else user].append(line)
    return found


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
