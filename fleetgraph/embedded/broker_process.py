"""What our two brokers have in common: a folder, account files, a child, a lock."""

from __future__ import annotations

import asyncio
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from core.broker_accounts import BrokerAccount
from core.broker_drift import Drift
from core.errors import Conflict, Unavailable
from fleetgraph.account_files import AccountFiles
from fleetgraph.embedded.child import Child
from fleetgraph.embedded.lock import FolderLock
from fleetgraph.embedded.places import Account, server_account, server_folder, write_private
from fleetgraph.embedded.ports import accepts, dial_host, is_free
from fleetgraph.embedded.processes import end_process, find_processes
from fleetgraph.embedded.tls import TlsListener

_START_SECONDS_MAX = 30.0
_STOP_SECONDS = 10.0


class BrokerProcess(ABC):
    """A broker of ours as a child process with a password file and an ACL file."""

    kind: str
    mqtt5: bool
    shared_subscriptions: bool
    summary: str

    def __init__(
        self, data_dir: Path, *, host: str, port: int, tls: TlsListener | None = None
    ) -> None:
        self.host = host
        self.port = port
        self.tls = tls
        dial = dial_host(host)
        self.url = f"mqtt://{f'[{dial}]' if ':' in dial else dial}:{port}"
        self._data_dir = data_dir.resolve()
        self._locks: list[FolderLock] = []
        self._child: Child | None = None
        self._account: Account | None = None
        self._folder = self._data_dir / self.kind
        self._files = AccountFiles(self._folder, self._put)
        self.place = f"{self.kind} {self._data_dir}"
        self._wanted: Sequence[BrokerAccount] = ()
        self._applying = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The broker's process while it runs."""
        return self._child.pid if self._child and self._child.running else None

    async def start(self, accounts: Sequence[BrokerAccount], system_root: Path) -> None:
        """Write the files, start the child and wait until it accepts connections."""
        try:
            await self._start(accounts, system_root)
        except BaseException:
            await asyncio.shield(self.stop())
            raise

    async def inspect(self, accounts: Sequence[BrokerAccount], mark: str | None) -> list[Drift]:
        """Return how the files differ from what we wrote last. Raises Unavailable once stopped."""
        self._check()
        return await asyncio.to_thread(self._files.inspect, accounts, mark)

    async def apply(self, accounts: Sequence[BrokerAccount]) -> str:
        """Write the accounts and have the broker read them; nothing happens when they are the same.

        Calls that overlap are taken together: the newest accounts win. Raises Unavailable once
        stopped: the files may be another's by now.
        """
        self._check()
        self._wanted = accounts
        async with self._applying:
            if await asyncio.to_thread(self._write, self._wanted):
                self._reload()
        return self._files.mark

    def was_touched(self) -> bool:
        """Say whether a file is another one than we left there."""
        return self._child is not None and self._files.was_touched()

    async def stop(self) -> None:
        """End the broker and give the folder back."""
        child, self._child = self._child, None
        try:
            if child:
                await child.stop(signal.SIGTERM, seconds=_STOP_SECONDS)
        finally:
            while self._locks:
                self._locks.pop().release()

    async def wait(self) -> int:
        """Return the exit status when the broker has ended."""
        assert self._child is not None
        return await self._child.wait()

    @abstractmethod
    def _program(self) -> str:
        """Return how the program's name begins, to know a child of ours again."""

    @abstractmethod
    async def _spawn(self, config: Path) -> Child:
        """Write what the configuration file needs beside it and start the child with it."""

    @abstractmethod
    def _reload(self) -> None:
        """Have the child read its account files again, within a second."""

    def _check(self) -> None:
        if self._child is None:
            raise Unavailable("broker")

    async def _start(self, accounts: Sequence[BrokerAccount], system_root: Path) -> None:
        self._lock(self._data_dir)
        self._folder, self._account = server_folder(
            self._data_dir, self.kind, server_account(*self._accounts()), system_root
        )
        if self._folder.parent != self._data_dir:
            self._lock(self._folder.parent)
        config = self._folder / f"{self.kind}.conf"
        for pid in find_processes(self._program(), str(config)):
            if not await end_process(
                pid, self._program(), str(config), first=signal.SIGTERM, seconds=_STOP_SECONDS
            ):
                raise Conflict(f"{self.kind} (process {pid}) of an earlier start does not end")
        for host, port in self._listeners():
            if not is_free(host, port):
                raise Conflict(
                    f"Port {port} on {host} is taken by another program; "
                    "stop it, or choose another port",
                    port=port,
                )
        if self.tls:
            self.tls.check()
        self._files.folder = self._folder
        await asyncio.to_thread(self._write, accounts)
        self._child = await self._spawn(config)
        await self._until_accepting()

    def _accounts(self) -> tuple[str, ...]:
        return ("mosquitto", "fleetgraph", "nobody")

    def _listeners(self) -> list[tuple[str, int]]:
        return [(self.host, self.port), *([(self.tls.host, self.tls.port)] if self.tls else [])]

    def _lock(self, folder: Path) -> None:
        lock = FolderLock(folder, "broker.lock")
        lock.acquire()
        self._locks.append(lock)

    def _write(self, accounts: Sequence[BrokerAccount]) -> bool:
        """Write accounts and certificate; returns whether anything is new."""
        found = self.tls.files() if self.tls else {}
        renewed = [
            write_private(self._folder / name, text, self._account) for name, text in found.items()
        ]
        return any([self._files.write(accounts), *renewed])

    def _put(self, path: Path, text: str) -> None:
        write_private(path, text, self._account)

    async def _until_accepting(self) -> None:
        assert self._child is not None
        deadline = asyncio.get_running_loop().time() + _START_SECONDS_MAX
        while asyncio.get_running_loop().time() < deadline:
            if not self._child.running:
                await self._child.wait()
                raise self._child.failed("ended while starting")
            if all([await accepts(host, port) for host, port in self._listeners()]):
                return
            await asyncio.sleep(0.02)
        raise self._child.failed("does not accept connections")
