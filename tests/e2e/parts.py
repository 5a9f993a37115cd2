"""The system in parts, each of which a test may stop, kill and start again."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from fleetgraph.embedded.broker import find_mosquitto
from fleetgraph.embedded.ports import accepts
from fleetgraph.embedded.postgres import EmbeddedPostgres
from models.database import DatabaseUrl
from models.fence import OPEN
from tests.e2e.agents import Agent
from tests.e2e.cloud import Cloud
from tests.e2e.processes import Program
from tests.e2e.recordings import recorded_telemetry, to_json
from tests.tools import free_ports, until

PASSWORD = "a password of the tests"
UPDATE_SECRET = "a secret that agents share"
PLATFORM = "platform"
PLATFORM_PASSWORD = "a password of the platform"

# As the embedded Mosquitto is set up, but with the account files that a worker writes.
_MOSQUITTO = """\
user {user}
listener {port} 127.0.0.1
allow_anonymous false
password_file {accounts}/passwords
acl_file {accounts}/acl
persistence true
persistence_location {folder}/
autosave_interval 15
max_inflight_messages 2000
max_queued_messages 2000000
message_size_limit 16777216
set_tcp_nodelay true
log_dest file {folder}/mosquitto.log
log_type error
log_type warning
connection_messages false
"""


class Parts:
    """PostgreSQL, Mosquitto, `serve`, `work ingest`, and `work` for all the rest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "data")
        self.port, self.mqtt_port = free_ports(2)
        self.accounts = folder / "accounts"
        self.accounts.mkdir()
        self.cloud = Cloud(f"http://127.0.0.1:{self.port}")
        self.serve: Program | None = None
        self.ingest: Program | None = None
        self.workers: Program | None = None
        self._mosquitto: subprocess.Popen[bytes] | None = None
        self._reloader: asyncio.Task[None] | None = None
        self._database = ""
        self._key = ""

    async def start(self) -> None:
        await self.start_postgres()
        await self.start_serve()
        self.start_ingest()
        names = ("broker-accounts", "broker-messages", "sessions", "liveness")
        self.workers = self._program("workers", "work", *names)
        await until((self.accounts / "passwords").exists, "the broker's account files are there")
        await self.start_mosquitto()
        self._reloader = asyncio.create_task(self._reload_accounts(), name="reloader")
        await self.cloud.sign_in(PASSWORD)
        self._key = await self.cloud.provisioning_key()
        await self._first_reading()

    async def close(self) -> None:
        if self._reloader:
            self._reloader.cancel()
            await asyncio.gather(self._reloader, return_exceptions=True)
        await self.cloud.close()
        for program in (self.ingest, self.workers, self.serve):
            if program:
                program.close()
        if self._mosquitto:
            self._mosquitto.kill()
            self._mosquitto.wait()
        await self.postgres.stop()

    async def start_postgres(self) -> None:
        self._database = await self.postgres.start()

    async def start_serve(self) -> None:
        self.serve = self._program("serve", "serve", "--port", self.port)

        async def answers() -> bool:
            assert self.serve
            assert self.serve.running, self.serve.err[-3000:]
            return await accepts("127.0.0.1", self.port)

        await until(answers, "the API answers")

    def start_ingest(self) -> None:
        self.ingest = self._program("ingest", "work", "ingest")

    async def start_mosquitto(self) -> None:
        program = find_mosquitto()
        assert program
        config = self.folder / "mosquitto.conf"
        text = _MOSQUITTO.format(
            user=getpass.getuser(), port=self.mqtt_port, accounts=self.accounts, folder=self.folder
        )
        config.write_text(text)
        self._mosquitto = subprocess.Popen(  # noqa: ASYNC220 - starting it takes a moment only
            [program, "-c", config], stderr=subprocess.DEVNULL
        )
        await until(lambda: accepts("127.0.0.1", self.mqtt_port), "the broker listens")

    async def stop_mosquitto(self, number: signal.Signals) -> None:
        process, self._mosquitto = self._mosquitto, None
        assert process
        process.send_signal(number)
        await until(lambda: process.poll() is not None, "the broker ends")

    async def connect_to_database(self) -> asyncpg.Connection:
        arguments = DatabaseUrl.parse(self._database).arguments()
        return await asyncpg.connect(**arguments, server_settings=OPEN)

    async def fetch_value(self, query: str, *arguments: object) -> Any:
        connection = await self.connect_to_database()
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def new_agent(self) -> Agent:
        """Return an agent that has proven itself and whom the broker lets in."""
        agent = Agent(self.cloud.url)
        await agent.provision(self._key)
        await (await agent.connect()).close()
        return agent

    async def _first_reading(self) -> None:
        """Have one reading stored: ingest then listens, and a snapshot comes with a cursor."""
        agent = await self.new_agent()
        async with agent.connected() as mqtt:

            async def stored() -> bool:
                # Again and again: before ingest first subscribes, the broker keeps nothing for it.
                topic = f"{agent.topic_prefix}/endpoints/modbus"
                await mqtt.publish(topic, to_json(recorded_telemetry()))
                return bool(await self.fetch_value("select count(*) from reading_hot"))

            await until(stored, "the first reading is stored")
        await agent.close()

    def _program(self, name: str, *arguments: str | int) -> Program:
        broker = f"{PLATFORM}:{quote(PLATFORM_PASSWORD)}@127.0.0.1:{self.mqtt_port}"
        settings = {
            "FLEETGRAPH_DATABASE_URL": self._database,
            "FLEETGRAPH_MQTT_URL": f"mqtt://{broker}",
            "FLEETGRAPH_MQTT_ACCOUNTS_DIR": self.accounts,
            "FLEETGRAPH_ADMIN_PASSWORD": PASSWORD,
            "FLEETGRAPH_DATA_DIR": self.folder / "program",
            "FLEETGRAPH_AGENT_UPDATE_SECRET": UPDATE_SECRET,
        }
        return Program(*map(str, arguments), folder=self.folder, name=name, settings=settings)

    async def _reload_accounts(self) -> None:
        """Have Mosquitto read its accounts when they changed, as an operator's watcher would."""
        known = b""
        while True:
            text = (self.accounts / "passwords").read_bytes()
            if text != known and self._mosquitto:
                os.kill(self._mosquitto.pid, signal.SIGHUP)
                known = text
            await asyncio.sleep(0.1)
