"""Where a server of ours keeps its files, and which account runs it.

A server is never run as root. When the program is root, its servers run as an existing account
without rights. Such a server cannot reach folders below a 0700 home, and opening other people's
folders is not ours to do, so its files then live below /var/lib/fleetgraph and a small file in the
data folder says where.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import AppError, Conflict

SYSTEM_ROOT = Path("/var/lib/fleetgraph")


@dataclass(frozen=True)
class Account:
    """An operating system account that a server runs as."""

    name: str
    uid: int
    gid: int


def server_account(*names: str) -> Account | None:
    """Return the first existing account of these, or None when we are not root.

    Raises AppError when we are root and there is none.
    """
    if os.geteuid() != 0:
        return None
    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(name, entry.pw_uid, entry.pw_gid)
    raise AppError(f"Servers are not run as root; create one of the accounts {', '.join(names)}")


def is_reachable(folder: Path, account: Account) -> bool:
    """Say whether the account can pass through (or run) this and everything above it."""
    folder = folder.resolve()
    return all(_may_pass(part, account) for part in (folder, *folder.parents))


def instance_folder(data_dir: Path, system_root: Path = SYSTEM_ROOT) -> Path:
    """Return the system folder that belongs to a data folder of root's."""
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()
    return system_root / "instances" / digest[:12]


def server_folder(
    data_dir: Path, part: str, account: Account | None, system_root: Path = SYSTEM_ROOT
) -> tuple[Path, Account | None]:
    """Return the folder for one server's files (0700, made when missing) and who owns it.

    A folder that exists keeps its place and its owner: existing data decide. Raises Conflict when
    it belongs to somebody whom we may not become, or lies where its owner cannot reach it.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder, note = data_dir / part, data_dir / f"{part}.location"
    if note.exists():
        folder = Path(note.read_text().strip())
    elif account and not folder.exists() and not is_reachable(data_dir, account):
        folder = instance_folder(data_dir, system_root) / part
        note.write_text(f"{folder}\n")
    if folder.exists():
        return folder, _keep_owner(folder, account)
    _make_parents(folder.parent)
    folder.mkdir(mode=0o700)
    if account:
        os.chown(folder, account.uid, account.gid)
    return folder, account


def reachable_copy(
    base: Path,
    parts: Sequence[str],
    program: str,
    name: str,
    account: Account | None,
    system_root: Path = SYSTEM_ROOT,
) -> Path:
    """Return `base`, or a copy of its `parts` when the account cannot reach base/program.

    The copy is readable by all and owned by root. It is made once, beside its final name, and
    renamed: nobody sees half of it.
    """
    if account is None or is_reachable(base / program, account):
        return base
    target = system_root / name
    if target.exists():
        return target
    _make_parents(system_root)
    scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=system_root))
    try:
        for part in parts:
            shutil.copytree(base / part, scratch / name / part)
        for path in (scratch / name, *(scratch / name).rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        with contextlib.suppress(OSError):  # another program was first; its copy is as good
            (scratch / name).rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def write_private(path: Path, text: str, account: Account | None = None) -> bool:
    """Replace a file atomically (mode 0600, owned by the account); False when nothing changed."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_text() == text:
            return False
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if account:
            os.chown(scratch, account.uid, account.gid)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    return True


def _keep_owner(folder: Path, account: Account | None) -> Account | None:
    owner = folder.stat()
    if account is None:
        if owner.st_uid != os.geteuid():
            raise Conflict(f"{folder} belongs to another account; start the program as before")
        return None
    if owner.st_uid == 0:  # made by us, and the program died before it gave the folder away
        os.chown(folder, account.uid, account.gid)
        owner = folder.stat()
    kept = Account(_name_of(owner.st_uid), owner.st_uid, owner.st_gid)
    if not is_reachable(folder, kept):
        raise Conflict(
            f"{folder} belongs to {kept.name}, who cannot reach it (a folder above it is closed); "
            f"start the program as {kept.name}, or open the folders above"
        )
    return kept


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _may_pass(folder: Path, account: Account) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _make_parents(folder: Path) -> None:
    for part in (*reversed(folder.parents), folder):
        if not part.exists():
            part.mkdir(mode=0o755, exist_ok=True)
            part.chmod(0o755)  # whatever the umask says: servers pass through here
