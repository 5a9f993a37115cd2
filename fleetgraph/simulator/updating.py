"""Self-updates of one agent: refused, waited for, carried out by a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fleetgraph.simulator.identity import Identity
from fleetgraph.simulator.updates import Command, judge, status
from fleetgraph.simulator.wire import to_json
from fleetgraph.simulator.world import World


class Restart(Exception):
    """The agent ends itself and begins again, as what it has become."""


class Updater:
    """Takes commands and tells how they go. Nothing is installed: a restart is all there is."""

    def __init__(
        self,
        world: World,
        identity: Identity,
        *,
        publish: Callable[[bytes], None],
        now_ms: Callable[[], int],
    ) -> None:
        """`publish` sends a status, retained; what it cannot send is lost."""
        self._world = world
        self._me = identity
        self._publish = publish
        self._now_ms = now_ms
        self._command: Command | None = None
        self._came = asyncio.Event()
        self._is_running = False
        self._was: str | None = None
        self._told = 0

    def take(self, payload: bytes) -> None:
        """Judge what came on `agent/update`; an empty message is a command taken back."""
        if not payload:
            return
        verdict = judge(
            payload,
            self._now_ms(),
            version=self._me.agent_version,
            secret=self._world.update_secret,
        )
        if verdict.command is not None and self._is_running:
            self._tell("update_rejected", reason="update_in_progress")
            return
        for message in verdict.statuses:
            self._send(message)
        if verdict.command is None:
            return
        if verdict.command.at_ms is not None:
            is_new = self._command is None
            self._tell(
                "update_scheduled" if is_new else "update_rescheduled",
                version=verdict.command.version,
                scheduled_time=verdict.command.at_ms,
            )
        self._command = verdict.command
        self._came.set()

    def connected(self) -> None:
        """Tell that an update is done, once there is a connection after it."""
        if self._was is not None:
            was, self._was = self._was, None
            self._tell("update_completed", version=self._me.agent_version, previous_version=was)

    async def run(self) -> None:
        """Carry out what comes; raises Restart to become another version."""
        while True:
            await self._came.wait()
            self._came.clear()
            command = self._command
            if command is None or not await self._is_due(command):
                continue
            if command.has_expired(self._now_ms()):
                self._command = None
                self._tell("update_rejected", reason="command_expired")
                continue
            await self._install(command)

    async def _is_due(self, command: Command) -> bool:
        """Wait for the moment; False when another command came meanwhile."""
        if command.at_ms is None:
            return True
        wait = (command.at_ms - self._now_ms()) / 1000
        if wait < -1:
            self._tell("update_overdue", version=command.version)
        try:
            async with asyncio.timeout(max(wait, 0)):
                await self._came.wait()
        except TimeoutError:
            return True
        return False

    async def _install(self, command: Command) -> None:
        self._is_running = True
        try:
            for type_ in ("preflight_started", "preflight_passed", "update_started"):
                self._tell(type_, version=command.version)
                await asyncio.sleep(self._world.pace.install / 3)
        finally:
            self._is_running, self._command = False, None
        self._was, self._me.agent_version = self._me.agent_version, command.version
        self._world.on_identity_changed()
        raise Restart

    def _tell(self, type_: str, **more: object) -> None:
        self._send(status(type_, self._now_ms(), **more))

    def _send(self, message: dict[str, Any]) -> None:
        self._told += 1
        mark = f"{self._told}-{self._world.ids.secret_hex(2)}"
        msg_id = f"{self._me.uuid}-{message['timestamp']}-{mark}"
        self._publish(to_json(message | {"msgId": msg_id}))
