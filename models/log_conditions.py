"""Which log lines, as SQL: what lists, searches, counts and the live tail have in common.

Text is looked for in an agent's lines of the asked time one by one, not in an index: behind
row-level security no index on texts would serve (docs/logs.md has the figures). What makes it fast
is that each plain word of the search must stand in the line, which is cheaper to see than to split
the line into words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core.logs import LEVELS
from models.conditions import Conditions

_WORDS: Final = "to_tsvector('simple', service || ' ' || message)"
_PLAIN: Final = re.compile(r"[A-Za-z0-9]+", re.ASCII)
_PLAIN_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Conditions on lines, all of which must hold; `since` is inclusive, `until` is not.

    Attributes:
        min_level: leaves out known levels below it; words that are no known level stay.
        text: words, "phrases", -words and `or`, as PostgreSQL's websearch_to_tsquery reads them.
        since_id: lines that were stored after the one with this id.
    """

    service: str | None = None
    services: Sequence[str] | None = None
    levels: Sequence[str] | None = None
    min_level: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    since_id: int | None = None


def add_log_filter(where: Conditions, wanted: LogFilter) -> None:
    """Demand what the filter says."""
    for template, value in (
        ("service = {}", wanted.service),
        ("service = any({}::text[])", _listed(wanted.services)),
        ("level = any({}::text[])", _listed(wanted.levels)),
        ("level <> all({}::text[])", _below(wanted.min_level)),
        ("at >= {}", wanted.since),
        ("at < {}", wanted.until),
        ("id > {}", wanted.since_id),
    ):
        if value is not None:
            where.add(template, value)
    if wanted.text:
        for word in _plain_words(wanted.text):
            where.add("service ilike {0} or message ilike {0}", f"%{word}%")
        where.add(f"{_WORDS} @@ websearch_to_tsquery('simple', {{}})", wanted.text)


def _listed(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _below(level: str | None) -> list[str] | None:
    return None if level is None else ["trace", *LEVELS[: LEVELS.index(level)]]


def _plain_words(text: str) -> list[str]:
    """Return words of a search that stand in every line it finds, the longest ones.

    Only such that are words to PostgreSQL as well, however it splits the text around them.
    """
    parts = text.split()
    if any(part.lower() == "or" for part in parts):
        return []
    found = []
    is_quoted = is_negated = False
    for part in parts:
        if not is_quoted:
            is_negated = part.startswith("-")
        if not is_negated and _PLAIN.fullmatch(part.strip('"')):
            found.append(part.strip('"'))
        is_quoted ^= part.count('"') % 2 == 1
    return sorted(set(found), key=lambda word: (-len(word), word))[:_PLAIN_MAX]
