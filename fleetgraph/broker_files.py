"""Accounts as files in a folder that a Mosquitto elsewhere reads and watches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from core.broker_accounts import BrokerAccount, render_acl_file, render_password_file

_log = logging.getLogger(__name__)


class BrokerFiles:
    """A broker driver: `passwords` and `acl` in one folder, replaced as a whole when they change.

    The folder belongs to the broker alone (a volume); reloading is the broker's business.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def apply(self, accounts: Sequence[BrokerAccount]) -> None:
        """Write both files if their content differs."""
        await asyncio.to_thread(self._write, accounts)

    def _write(self, accounts: Sequence[BrokerAccount]) -> None:
        platform = [account.username for account in accounts if account.is_platform]
        for name, text in (
            ("acl", render_acl_file(platform)),
            ("passwords", render_password_file(accounts)),
        ):
            path = self._folder / name
            if path.exists() and path.read_text(encoding="utf-8") == text:
                continue
            temporary = path.with_suffix(".new")
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o644)  # another container's account reads it; the volume is private
            temporary.replace(path)
            _log.info("wrote the broker's %s", name)
