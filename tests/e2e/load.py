"""The load of fault runs as a process of its own, and what has to be known after it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from itertools import starmap
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from fleetgraph.simulator.load import LoadOptions, LoadResult, LoadTarget
from models.timeseries.journal import decode_body
from tests.e2e.agents import Agent
from tests.e2e.parts import Parts
from tests.e2e.processes import environment
from tests.tools import until

_SERIES = 10
_STEP_MS = 1
_SPAN = 10_000_000  # more steps than any series has


class Load:
    """`python -m fleetgraph.simulator.load`: one reading a message, ten series an agent."""

    def __init__(
        self, parts: Parts, agents: list[Agent], *, messages: int, messages_per_second: float
    ) -> None:
        now_ms = int(time.time() * 1000)
        self.options = LoadOptions(
            host="127.0.0.1",
            port=parts.mqtt_port,
            targets=[
                LoadTarget(a.client_id, a.topic_prefix, a.broker["username"], a.broker["password"])
                for a in agents
            ],
            messages=messages,
            readings_per_message=1,
            series=_SERIES,
            messages_per_second=messages_per_second,
            start_ms=now_ms - 3_600_000,
            step_ms=_STEP_MS,
        )
        self.started_at = 0.0
        self._folder = parts.folder
        self._process: subprocess.Popen[bytes] | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the load

    async def start(self) -> None:
        with tempfile.TemporaryFile() as options:
            options.write(msgspec.json.encode(self.options))
            options.seek(0)
            self._process = subprocess.Popen(  # noqa: ASYNC220 - starting it takes a moment only
                [sys.executable, "-m", "fleetgraph.simulator.load"],
                stdin=options,
                stdout=self._output,
                env=environment(self._folder),
            )
        self.started_at = time.monotonic()

    async def finished(self) -> LoadResult:
        process = self._process
        assert process
        await until(lambda: process.poll() is not None, "the load is sent", seconds=120)
        assert process.returncode == 0
        self._output.seek(0)
        return msgspec.json.decode(self._output.read(), type=LoadResult)

    def close(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        self._output.close()


class Expected:
    """Every reading of a load as one number: which series, and the how-many-th of it."""

    def __init__(self, options: LoadOptions) -> None:
        assert options.messages is not None
        assert options.start_ms is not None
        self.start_ms = options.start_ms
        self.count = options.messages
        self.agents = [target.client_id.rpartition("_")[2] for target in options.targets]
        share, rest = divmod(options.messages, len(self.agents))
        self.keys = np.sort(
            np.concatenate(
                list(
                    starmap(
                        _keys_of_agent,
                        ((number, share + (number < rest)) for number in range(len(self.agents))),
                    )
                )
            )
        )

    def series_number(self, agent: str, metric: str) -> int | None:
        """Return the number of a series, None for one that is not of the load."""
        if agent not in self.agents or not metric.startswith("m"):
            return None
        return self.agents.index(agent) * _SERIES + int(metric[1:])

    def keys_of(self, series: int, times_ms: object) -> NDArray[np.int64]:
        steps = (np.asarray(times_ms, dtype=np.int64) - self.start_ms) // _STEP_MS
        return steps + series * _SPAN

    async def count_stored(self, parts: Parts) -> int:
        """Return how many readings are in the journal; cheap enough to ask again and again."""
        count: int = await parts.fetch_value(
            "select coalesce(sum(reading_count), 0) from journal where agent_id in"
            " (select id from agent where uuid = any($1))",
            [UUID(agent) for agent in self.agents],
        )
        return count

    async def check_stored(self, parts: Parts) -> None:
        """Check that table and journal hold each reading exactly once, and nothing else."""
        connection = await parts.connect_to_database()
        try:
            agents = [UUID(agent) for agent in self.agents]
            rows = await connection.fetch(
                "select s.id, a.uuid::text, s.metric, "
                "array(select (extract(epoch from ts) * 1000)::bigint from reading_hot r"
                " where r.agent_id = s.agent_id and r.series_id = s.id) as times "
                "from series s join agent a on a.id = s.agent_id where a.uuid = any($1)",
                agents,
            )
            bodies = await connection.fetch(
                "select body from journal where agent_id in"
                " (select id from agent where uuid = any($1))",
                agents,
            )
        finally:
            await connection.close()
        numbers = {row["id"]: self.series_number(row["uuid"], row["metric"]) for row in rows}
        assert None not in numbers.values()
        self.check(
            [self.keys_of(numbers[row["id"]] or 0, row["times"]) for row in rows], "the table"
        )
        journal = []
        for body in bodies:
            columns = decode_body(body["body"])
            for series_id, part in columns.parts():
                times_ms = columns.times_us[part] // 1000
                journal.append(self.keys_of(numbers[series_id] or 0, times_ms))
        self.check(journal, "the journal")

    def check(self, parts: list[NDArray[np.int64]], where: str) -> None:
        """Check that these are all keys, each exactly once."""
        found = np.sort(np.concatenate(parts))
        unique = np.unique(found)
        missing = np.setdiff1d(self.keys, unique, assume_unique=True)
        foreign = np.setdiff1d(unique, self.keys, assume_unique=True)
        doubles = len(found) - len(unique)
        assert not len(missing), f"{where}: {len(missing)} are missing, {doubles} are double"
        assert not len(foreign), f"{where}: {len(foreign)} were never sent"
        assert not doubles, f"{where}: {doubles} are double"


def _keys_of_agent(agent: int, messages: int) -> NDArray[np.int64]:
    """Message n belongs to series n % 10 and is its n // 10th."""
    numbers = np.arange(messages, dtype=np.int64)
    return (agent * _SERIES + numbers % _SERIES) * _SPAN + numbers // _SERIES
