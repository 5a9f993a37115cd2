"""Accounts as files in a folder that a Mosquitto elsewhere reads and watches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from core.broker_accounts import BrokerAccount
from core.broker_drift import Drift
from fleetgraph.account_files import AccountFiles

_log = logging.getLogger(__name__)


class BrokerFiles:
    """A broker driver: `passwords` and `acl` in one folder, replaced as a whole when they change.

    The folder belongs to the broker alone (a volume); reloading is the broker's business.
    """

    def __init__(self, folder: Path) -> None:
        self.place = f"files {folder}"
        self._files = AccountFiles(folder, _put)

    async def inspect(self, accounts: Sequence[BrokerAccount], mark: str | None) -> list[Drift]:
        """Return how the files differ from what we wrote last."""
        return await asyncio.to_thread(self._files.inspect, accounts, mark)

    async def apply(self, accounts: Sequence[BrokerAccount]) -> str:
        """Write the files whose content differs."""
        await asyncio.to_thread(self._files.write, accounts)
        return self._files.mark

    def was_touched(self) -> bool:
        """Say whether a file is another one than we left there."""
        return self._files.was_touched()


def _put(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(0o644)  # another container's account reads it; the volume is private
    temporary.replace(path)
    _log.info("wrote the broker's %s", path.name)
