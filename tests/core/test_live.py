"""What a follower with a snapshot of its own takes from looks that others share."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, cast
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.live import LiveBatch, LiveFilter, LiveReadings, Look, ReadingFeed
from core.readings import SeriesColumns, SeriesInfo
from core.snapshots import Position, Snapshot
from schema.merging import merge

FIRST_XID = 100
FEED = ReadingFeed(cast("LiveReadings", None), 1, LiveFilter())


def series(number: int) -> SeriesInfo:
    return SeriesInfo(number, 1, 1, UUID(int=1), "press", f"m{number}", "", "", "", "")


class History:
    """Transactions with one journal row each; row numbers follow xids, commits do not."""

    def __init__(self, commits: list[int]) -> None:
        self.commits = [FIRST_XID + each for each in commits]
        self.end = FIRST_XID + len(commits)

    def at(self, moment: int) -> Snapshot:
        """Return the snapshot after so many commits."""
        running = frozenset(self.commits[moment:])
        return Snapshot(min(running, default=self.end), self.end, running)

    def look(self, begin: int, end: int, series_of: list[int]) -> list[LiveBatch]:
        look = Look(self.at(begin), self.at(end), frozenset(self.commits[begin:end]))
        return [
            LiveBatch(
                SeriesColumns(
                    series(series_of[xid - FIRST_XID]),
                    np.array([xid]),
                    [float(xid)],
                    np.zeros(1, np.int8),
                ),
                Position(look.base, look.upto, xid, 1),
                xid,
                look,
            )
            for xid in sorted(self.commits[begin:end])
        ]

    def rest(self, position: Position | None, moment: int) -> set[int]:
        """Return what resuming after `position` brings until so many commits."""
        assert position is not None
        shown = set(self.commits[:moment])
        had = {xid for xid in shown if position.base.sees(xid)}
        if position.upto is not None:
            had |= {x for x in shown if position.upto.sees(x) and x <= position.seq}
        return shown - had


@st.composite
def histories(draw: Any) -> tuple[History, int, list[int], list[int]]:
    """Return a history, the moment of a follower's mark, the moments of looks, and series."""
    count = draw(st.integers(1, 12))
    history = History(draw(st.permutations(range(count))))
    moments = sorted(draw(st.sets(st.integers(0, count), min_size=2, max_size=6)))
    mark = draw(st.integers(moments[0], count))
    return history, mark, moments, draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))


def xids(batch: LiveBatch) -> list[int]:
    return [int(value) for value in cast("list[float]", batch.columns.values)]


def follow(events: Iterable[LiveBatch], mark: Snapshot) -> list[LiveBatch]:
    """Take what lies beyond the mark, as a group does; what is past it must be as it is."""
    taken: list[LiveBatch] = []
    is_past = False
    for event in events:
        found = FEED.beyond(event, mark)
        is_past = is_past or FEED.is_past(event, mark)
        assert not is_past or found is event
        if found is not None:
            taken.append(found)
    return taken


@given(histories())
def test_takes_what_its_snapshot_did_not_show_and_every_cursor_is_exact(
    drawn: tuple[History, int, list[int], list[int]],
) -> None:
    history, moment, moments, series_of = drawn
    mark = history.at(moment)
    had = set(history.commits[:moment])
    events = [
        event for begin, end in pairwise(moments) for event in history.look(begin, end, series_of)
    ]
    for event in follow(events, mark):
        (xid,) = xids(event)
        assert xid not in had
        had.add(xid)
        assert (
            history.rest(event.position, moments[-1]) == set(history.commits[: moments[-1]]) - had
        )
    assert had == set(history.commits[: max(moment, moments[-1])])


@given(histories(), st.integers(1, 5))
def test_takes_merged_batches_apart_and_no_cursor_covers_what_is_to_come(
    drawn: tuple[History, int, list[int], list[int]], together: int
) -> None:
    history, moment, moments, series_of = drawn
    mark = history.at(moment)
    had = set(history.commits[:moment])
    pending = [
        event for begin, end in pairwise(moments) for event in history.look(begin, end, series_of)
    ]
    shown = set(history.commits[: moments[-1]])
    for at in range(0, len(pending), together):
        for event in follow(merge(pending[at : at + together]), mark):
            assert not had & set(xids(event))
            had.update(xids(event))
            assert history.rest(event.position, moments[-1]) >= shown - had
        reached = {xid for each in pending[: at + together] for xid in xids(each)}
        assert had == reached | set(history.commits[:moment])


def test_a_position_within_a_snapshot_is_that_snapshot() -> None:
    early, late = Snapshot(5, 9, frozenset({5, 7})), Snapshot(9, 9)
    assert Position(early).having_seen(late) == Position(late)
    assert Position(early, late, 3, 1).having_seen(late) == Position(late)
    assert Position(late).having_seen(early) == Position(late)
