"""Dead letters: what could not be read, kept with its reason instead of stopping the rest."""

from __future__ import annotations

from collections.abc import Sequence

from core import metrics
from core.access import Permission, allow
from core.context import Context
from models.dead_letters import DeadLetter, insert_dead_letters


@allow(Permission.SYSTEM)
async def record_dead_letters(ctx: Context, letters: Sequence[DeadLetter]) -> None:
    """Keep messages and parts of messages of any tenant; the same one twice is kept once."""
    if letters:
        await insert_dead_letters(letters)
        metrics.DEAD_LETTERS.inc(len(letters))
