"""Where a listener stands in the journal: PostgreSQL snapshots as cursors.

A serial number cannot order commits: a transaction that drew a lower number may commit later,
and a reader that has passed it loses it for ever. A snapshot says exactly which transactions
were visible, so "everything not visible then" has neither gap nor repeat, and nobody waits for
a slow transaction elsewhere (docs/adr/0003).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.errors import InvalidInput
from core.paging import decode_cursor, encode_cursor

CURSOR_CHARS_MAX = 8_192
_NUMBER_MAX = 2**60  # fits a bigint with room to spare


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions had committed: all below `xmin`, none from `xmax` on, else not `xip`."""

    xmin: int
    xmax: int
    xip: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read PostgreSQL's `xmin:xmax:xip,xip`; raises ValueError for anything else."""
        low, high, running = text.split(":")
        xmin, xmax = int(low), int(high)
        xip = frozenset(int(x) for x in running.split(",") if x)
        if not 0 < xmin <= xmax < _NUMBER_MAX or any(not xmin <= x < xmax for x in xip):
            raise ValueError("not a snapshot")
        return cls(xmin, xmax, xip)

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, sorted(self.xip)))}"

    def sees(self, xid: int) -> bool:
        """Whether the committed transaction `xid` was visible."""
        return xid < self.xmin or (xid < self.xmax and xid not in self.xip)

    def covers(self, other: Snapshot) -> bool:
        """Whether everything `other` saw is seen here: snapshots of one server are ordered."""
        return other.xmax <= self.xmax and not any(other.sees(xid) for xid in self.xip)


@dataclass(frozen=True, slots=True)
class Position:
    """What a listener has had: all `base` saw, and of what `upto` added, rows up to (seq, part).

    `part` counts the series within a journal row. With `upto` None nothing beyond `base`.
    """

    base: Snapshot
    upto: Snapshot | None = None
    seq: int = 0
    part: int = 0

    def having_seen(self, seen: Snapshot) -> Position:
        """Return this position for a listener that has also had all that `seen` saw."""
        if self.base.covers(seen):
            return self
        if self.upto is None or seen.covers(self.upto):
            return Position(seen)
        return replace(self, base=seen)

    def encode(self) -> str:
        """Return the position as an opaque cursor."""
        fields = [str(self.base)]
        if self.upto is not None:
            fields += [str(self.upto), str(self.seq), str(self.part)]
        return encode_cursor("~".join(fields))

    @classmethod
    def decode(cls, cursor: str, field: str = "after") -> Position:
        """Read a cursor; raises InvalidInput for anything that is none."""
        if len(cursor) > CURSOR_CHARS_MAX:
            raise InvalidInput(field, "is not a cursor of this list")
        try:
            fields = decode_cursor(cursor, field).split("~")
            base = Snapshot.parse(fields[0])
            if len(fields) == 1:
                return cls(base)
            _, upto, seq, part = fields
            found = cls(base, Snapshot.parse(upto), int(seq), int(part))
            if not (0 <= found.seq < _NUMBER_MAX and 0 <= found.part < _NUMBER_MAX):
                raise ValueError("not a position")
        except ValueError:
            raise InvalidInput(field, "is not a cursor of this list") from None
        return found
