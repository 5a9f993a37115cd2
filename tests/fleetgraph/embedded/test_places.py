from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from core.errors import Conflict
from fleetgraph.embedded.lock import FolderLock
from fleetgraph.embedded.places import Account, is_reachable, server_folder, write_private
from fleetgraph.embedded.ports import dial_host, find_free_port

STRANGER = Account("stranger", 54321, 54321)
OURSELVES = Account("ourselves", os.geteuid(), os.getegid())


def test_a_closed_folder_above_makes_unreachable(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "open"
    inner.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    assert not is_reachable(inner, STRANGER)
    assert is_reachable(inner, OURSELVES)
    assert is_reachable(Path("/usr/bin"), STRANGER)


def test_a_server_of_an_ordinary_user_stays_in_the_data_folder(tmp_path: Path) -> None:
    folder, account = server_folder(tmp_path / "data", "postgres", None)
    assert (folder, account) == (tmp_path / "data" / "postgres", None)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert server_folder(tmp_path / "data", "postgres", None)[0] == folder


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a folder of another account")
def test_a_folder_of_another_account_decides_who_runs_the_server(
    tmp_path: Path, system_root: Path
) -> None:
    data_dir = system_root / "theirs"
    (data_dir / "postgres").mkdir(parents=True)
    os.chown(data_dir / "postgres", STRANGER.uid, STRANGER.gid)
    _, account = server_folder(data_dir, "postgres", Account("postgres", 12345, 12345))
    assert account
    assert account.uid == STRANGER.uid
    os.chown(data_dir / "postgres", 12345, 12345)


def test_a_private_file_is_replaced_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    assert write_private(path, "a")
    first = path.stat().st_ino
    assert not write_private(path, "a")
    assert path.stat().st_ino == first
    assert write_private(path, "b")
    assert path.read_text() == "b"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["passwords"]


def test_a_lock_names_its_folder_and_holder_and_can_be_given_back(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    with pytest.raises(Conflict, match=f"{tmp_path} is in use by process {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_the_next_free_port_is_found_and_a_full_range_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port < find_free_port("127.0.0.1", port) <= port + 50
    with socket.create_server(("127.0.0.1", 65535)), pytest.raises(Conflict, match="No free port"):
        find_free_port("127.0.0.1", 65535)


@pytest.mark.parametrize(
    ("listen", "dial"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.5", "127.0.0.5")]
)
def test_everywhere_is_reached_over_loopback(listen: str, dial: str) -> None:
    assert dial_host(listen) == dial
