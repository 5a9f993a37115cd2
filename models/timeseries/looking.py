"""Journal rows as batches: what one look brought, selected once for all who want the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.live import LiveBatch, LiveFilter, Look
from core.readings import SeriesColumns, SeriesInfo
from core.snapshots import Position
from models.timeseries.journal import JournalColumns, decode_body


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A row of the journal, decoded."""

    seq: int
    xid: int
    tenant_id: int
    agent_id: int
    columns: JournalColumns

    @classmethod
    def of(cls, row: Any) -> JournalRow:
        """Return the row of a query."""
        return cls(
            row["seq"], row["xid"], row["tenant_id"], row["agent_id"], decode_body(row["body"])
        )


def series_ids(rows: Iterable[JournalRow]) -> set[int]:
    """Return the series that have readings in `rows`."""
    return {series_id for row in rows for series_id, _ in row.columns.parts()}


def batches(
    rows: Iterable[JournalRow],
    look: Look,
    infos: Mapping[int, SeriesInfo],
    wanted: LiveFilter,
    after: tuple[int, int] = (0, 0),
) -> Iterator[LiveBatch]:
    """Yield the batches in `rows` that `wanted` asks for, behind `after`: a row and a part in it.

    Rows of other agents than `wanted` names must have been left out.
    """
    for row in rows:
        for number, (series_id, part) in enumerate(row.columns.parts(), 1):
            info = infos.get(series_id)
            if info is None or (row.seq, number) <= after:
                continue
            if wanted.metrics is not None and info.metric not in wanted.metrics:
                continue
            columns = SeriesColumns(
                info,
                row.columns.times_us[part],
                row.columns.python_values(part),
                row.columns.qualities[part],
            )
            position = Position(look.base, look.upto, row.seq, number)
            yield LiveBatch(columns, position, row.xid, look)


@dataclass(frozen=True, slots=True)
class News:
    """What one look brought to listeners of one tenant, or of one agent of it."""

    look: Look
    rows: list[JournalRow]
    infos: Mapping[int, SeriesInfo]
    _selected: dict[frozenset[str] | None, list[LiveBatch]] = field(default_factory=dict)

    def select(self, wanted: LiveFilter) -> list[LiveBatch]:
        """Return the batches `wanted` asks for: the same list for all who want the same."""
        metrics = None if wanted.metrics is None else frozenset(wanted.metrics)
        found = self._selected.get(metrics)
        if found is None:
            found = list(batches(self.rows, self.look, self.infos, wanted))
            self._selected[metrics] = found
        return found
