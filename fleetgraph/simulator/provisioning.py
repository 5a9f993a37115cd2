"""How an agent comes to be known: registration, its proof, and when to do it again."""

from __future__ import annotations

import contextlib
import logging

from fleetgraph.simulator.cloud import CallFailed, CloudClient, Retry
from fleetgraph.simulator.identity import Identity
from fleetgraph.simulator.world import World

log = logging.getLogger(__name__)


class Provisioning:
    """Provisioning of one agent."""

    def __init__(self, world: World, cloud: CloudClient, identity: Identity) -> None:
        self._world = world
        self._cloud = cloud
        self._me = identity
        self._was_stored = identity.provisioned

    async def ensure(self) -> None:
        """Register unless that is done and still counts. Raises CallFailed after six refusals."""
        if self._me.provisioned and await self._is_known():
            return
        told = False

        def failed(reason: str) -> None:
            nonlocal told
            if not told:
                log.warning("%s cannot register yet, will retry: %s", self._me.name, reason)
            told = True

        await self._register(Retry(self._world.pace.registration_waits, failed))
        log.info("%s registered as %s", self._me.name, self._me.uuid)

    async def ask_for_broker(self) -> None:
        """Register again if the stored broker may be out of date.

        A real agent would not; but a plant that is started again and again meets brokers on
        other ports.
        """
        if self._was_stored:
            with contextlib.suppress(CallFailed):
                await self._register(Retry(()))

    async def _register(self, retry: Retry) -> None:
        await self._cloud.provision(self._world.provisioning_key, retry)
        self._world.on_identity_changed()

    async def _is_known(self) -> bool:
        """Ask once whether a stored identity still counts; when in doubt, it does."""
        try:
            await self._cloud.poll(None)
        except CallFailed as error:
            if error.status in {401, 403, 404}:
                log.warning("%s is not known any more (%s), will register", self._me.name, error)
                return False
        return True
