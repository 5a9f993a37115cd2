"""What a PostgreSQL data folder needs before a server starts on it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from contextlib import suppress
from pathlib import Path

from core.errors import Conflict
from fleetgraph.embedded.processes import command_line, end_process, find_processes, find_titles

_PROGRAM = "postgres"
_STOP_SECONDS = 30.0
_ORPHAN_SECONDS = 15.0

# The whole demonstration, this server included, has to fit in 500 MB.
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": 60,
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "512MB",
    "io_method": "sync",  # the default keeps three more processes
    "jit": "off",
    "max_worker_processes": 4,
    "max_logical_replication_workers": 0,
    "max_parallel_workers": 2,
    "max_parallel_workers_per_gather": 1,
    "autovacuum_max_workers": 2,
    "synchronous_commit": "on",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "pglz",
    "max_locks_per_transaction": 256,  # a query may touch many partitions
    "huge_pages": "off",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def cluster_name(data: Path) -> str:
    """Return the name that every process of this data folder's server carries in its title."""
    return f"fleetgraph-{hashlib.sha256(os.fsencode(data)).hexdigest()[:12]}"


def settings(data: Path) -> str:
    """Return the file of our settings; `ALTER SYSTEM` of an operator still wins over it."""
    lines = [f"{name} = '{value}'" for name, value in _SETTINGS.items()]
    return "\n".join(
        [
            "# Written at every start; use ALTER SYSTEM for your own settings.",
            *lines,
            f"cluster_name = '{cluster_name(data)}'",
            "",
        ]
    )


async def settle(data: Path) -> None:
    """End a server of ours that a killed program left on this data folder.

    Call it with the folder locked: nobody else can then be using that server. Raises Conflict when
    it does not end.
    """
    for pid in find_processes(_PROGRAM, str(data)):
        if not await end_process(
            pid, _PROGRAM, str(data), first=signal.SIGINT, seconds=_STOP_SECONDS
        ):
            raise Conflict(f"PostgreSQL (process {pid}) still runs on {data} and does not end")
    # Helpers of a killed server notice by themselves; two servers must never share the files.
    deadline = asyncio.get_running_loop().time() + _ORPHAN_SECONDS
    while orphans := find_titles(f"postgres: {cluster_name(data)}:"):
        if asyncio.get_running_loop().time() > deadline:
            raise Conflict(f"Processes {orphans} of an earlier PostgreSQL still use {data}")
        await asyncio.sleep(0.05)


def forget_foreign_pid(data: Path, socket_lock: Path) -> None:
    """Remove lock files that name a stranger who was given our dead server's process number.

    PostgreSQL itself clears files that name nobody, but refuses to start when somebody lives.
    """
    for path in (data / "postmaster.pid", socket_lock):
        with suppress(FileNotFoundError, ValueError, IndexError):
            pid = int(path.read_text().splitlines()[0])
            if (living := command_line(abs(pid))) and str(data) not in living:
                path.unlink()
