"""Due times of many connections under one timer, which exists only while there are some."""

from __future__ import annotations

import asyncio
from typing import Protocol

STEP_SECONDS = 0.1
"""How late a call may be."""


class Due(Protocol):
    """What the wheel calls. `slot` belongs to the wheel."""

    slot: int | None

    def on_due(self) -> None:
        """Do what is due; whoever wants to be called again puts itself back."""
        ...


class Wheel:
    """Calls what was put into it, each at its time. Putting and removing cost the same for any number."""

    def __init__(self) -> None:
        self._slots: dict[int, set[Due]] = {}
        self._reached = 0
        self._timer: asyncio.TimerHandle | None = None

    def put(self, due: Due, at: float) -> None:
        """Call `due` once at `at` in the loop's time, and not at an earlier wish of its."""
        self.remove(due)
        due.slot = max(int(at / STEP_SECONDS), self._reached) + 1
        self._slots.setdefault(due.slot, set()).add(due)
        if self._timer is None:
            self._wait()

    def remove(self, due: Due) -> None:
        """Forget `due`."""
        if due.slot is None:
            return
        slot = self._slots[due.slot]
        slot.discard(due)
        if not slot:
            del self._slots[due.slot]
        due.slot = None
        if not self._slots and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(STEP_SECONDS, self._turn)

    def _turn(self) -> None:
        self._timer = None
        self._reached = int(asyncio.get_running_loop().time() / STEP_SECONDS)
        try:
            for number in [number for number in self._slots if number <= self._reached]:
                while slot := self._slots.get(number):  # whoever is called may remove others
                    due = next(iter(slot))
                    self.remove(due)
                    due.on_due()
        finally:
            if self._slots and self._timer is None:
                self._wait()
