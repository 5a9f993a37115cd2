"""What every command does: read the settings, and run until done or told to end."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from fleetgraph.logs import set_up_logging
from fleetgraph.settings import Settings, load_settings

Run = Callable[[asyncio.Event], Coroutine[Any, Any, None]]

_log = logging.getLogger(__name__)


def settings_of(**overrides: dict[str, Any]) -> Settings:
    """Read the settings, with what the command line gave, and start logging by them."""
    given = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in overrides.items()
    }
    settings = load_settings(**{section: values for section, values in given.items() if values})
    set_up_logging(settings.log.level, settings.log.format)
    return settings


def run(body_of: Run) -> None:
    """Run until done, or until Ctrl-C or SIGTERM; a signal during the start ends the start."""

    async def body() -> None:
        stop = asyncio.Event()
        task = asyncio.ensure_future(body_of(stop))
        started_stop = asyncio.ensure_future(stop.wait())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await asyncio.wait({task, started_stop}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            # Time to end by itself; what is still starting then is cancelled.
            await asyncio.wait({task}, timeout=4.0)
        if not task.done():
            task.cancel()
        started_stop.cancel()
        try:
            await task
        except asyncio.CancelledError:
            _log.info("ended while starting")

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(body())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415

    return uvloop.new_event_loop
