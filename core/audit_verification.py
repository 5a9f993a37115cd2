"""Checks a chain of audit rows, read in order, and names what is wrong with it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from core.audit_chain import START_HASH, ChainRow, Checkpoint, SignatureCheck, link

PROBLEMS_MAX: Final = 100


class ProblemKind(StrEnum):
    """What can be wrong with a chain."""

    ROW_ALTERED = "row_altered"
    ROW_UNEXPECTED = "row_unexpected"
    ROWS_MISSING = "rows_missing"
    ROWS_REWRITTEN = "rows_rewritten"
    ROWS_UNSIGNED = "rows_unsigned"
    TAIL_CUT = "tail_cut"
    CHECKPOINT_FORGED = "checkpoint_forged"
    CHECKPOINT_MISSING = "checkpoint_missing"
    ANCHOR_MISSED = "anchor_missed"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about the positions `first` to `last`; `id` is the row's, where there is one."""

    kind: ProblemKind
    first: int
    last: int
    message: str
    id: int | None = None


@dataclass(slots=True)
class ChainCheck:
    """Takes `begin`, rows and checkpoints by position, a row before its checkpoint; then `end`.

    `anchors` are hashes by position that were noted elsewhere, e.g. in a log.
    """

    signatures: SignatureCheck
    anchors: dict[int, bytes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    rows: int = 0
    checkpoints: int = 0
    start: int = 0
    _is_part: bool = False
    _next: int = 1
    _known: tuple[bytes, ...] = ()  # hashes that the next row may continue
    _stored: bytes = b""  # the hash stored with the last row
    _checkpoint_at: int | None = None
    _gap: tuple[int, int] | None = None

    def begin(self, start: int, start_hash: bytes | None = None) -> None:
        """Stand behind position `start`: a whole chain's last trimmed one, or 0.

        With a hash it is a part of a chain, whichever checkpoints were before.
        """
        self._is_part = start_hash is not None
        self.start, self._next = start, start + 1
        self._known = (start_hash,) if start_hash else () if start else (START_HASH,)

    @property
    def last_position(self) -> int:
        """The last position that was reached."""
        return self._next - 1

    def row(self, row: ChainRow, stored: bytes) -> None:
        """Take a row and the hash stored with it."""
        self.rows += 1
        at = row.position
        if at < self._next:
            text = f"row {row.id} stands at position {at}, which was removed or taken before"
            self._found(ProblemKind.ROW_UNEXPECTED, at, at, text, row.id)
            return
        self._flush_gap(ProblemKind.ROWS_MISSING)
        if at > self._next:
            self._gap = (self._next, at - 1)
            self._flush_gap(ProblemKind.ROWS_MISSING)
            self._known = ()
        expected = [link(previous, row) for previous in self._known]
        if expected and stored not in expected:
            text = f"row {row.id} at position {at} is not what was chained"
            self._found(ProblemKind.ROW_ALTERED, at, at, text, row.id)
            # Either the row or its hash was changed; the next row tells by which one it continues.
            self._known = (stored, *expected)
        else:
            self._known = (stored,)
        self._stored = stored
        self._next = at + 1
        self._compare_anchor(at, stored)

    def checkpoint(self, checkpoint: Checkpoint, signature: bytes) -> None:
        """Take a checkpoint and its signature."""
        self.checkpoints += 1
        at, previous = checkpoint.position, self._checkpoint_at
        self._checkpoint_at = at
        is_signed = self.signatures.holds(checkpoint, signature)
        if not is_signed:
            text = f"the checkpoint at position {at} does not bear the installation's signature"
            self._found(ProblemKind.CHECKPOINT_FORGED, at, at, text)
        elif previous is not None or not self._is_part:
            self._check_order(checkpoint, previous or 0)
        if at < self.start:
            self._compare_anchor(at, checkpoint.chain_hash)
            return
        if at >= self._next:
            first = self._gap[0] if self._gap else self._next
            self._gap = (first, at)
            self._next = at + 1
            self._known = (checkpoint.chain_hash,)
        elif at == self.start:
            self._known = (checkpoint.chain_hash,)
        elif self._stored != checkpoint.chain_hash:
            if is_signed:
                first = max(previous or 0, self.start) + 1
                text = f"rows {first} to {at} were rewritten: they do not lead to what was signed"
                self._found(ProblemKind.ROWS_REWRITTEN, first, at, text)
            self._known = (checkpoint.chain_hash, self._stored)

    def end(self) -> None:
        """Say what is missing at the end."""
        signed_to = max(self._checkpoint_at or 0, self.start)
        self._flush_gap(ProblemKind.TAIL_CUT)
        if self.last_position > signed_to:
            text = f"no checkpoint signs the rows from position {signed_to + 1} on"
            self._found(ProblemKind.ROWS_UNSIGNED, signed_to + 1, self.last_position, text)
        for at in sorted(self.anchors):
            text = f"position {at}, which was noted elsewhere, is not there"
            self._found(ProblemKind.ANCHOR_MISSED, at, at, text)

    def _check_order(self, checkpoint: Checkpoint, previous: int) -> None:
        if checkpoint.previous == previous:
            return
        if checkpoint.previous > previous:
            missing = checkpoint.previous
            text = f"the checkpoint at position {missing} is missing"
            self._found(ProblemKind.CHECKPOINT_MISSING, missing, missing, text)
        else:
            text = f"the checkpoint at position {previous} was not there when the next was signed"
            self._found(ProblemKind.CHECKPOINT_FORGED, previous, previous, text)

    def _flush_gap(self, kind: ProblemKind) -> None:
        if self._gap is None:
            return
        (first, last), self._gap = self._gap, None
        which = f"row {first} is" if first == last else f"rows {first} to {last} are"
        text = f"{which} missing" + (
            ": the end was cut off" if kind is ProblemKind.TAIL_CUT else ""
        )
        self._found(kind, first, last, text)

    def _compare_anchor(self, at: int, found: bytes) -> None:
        noted = self.anchors.pop(at, None)
        if noted is not None and noted != found:
            text = f"position {at} has another hash than was noted elsewhere"
            self._found(ProblemKind.ANCHOR_MISSED, at, at, text)

    def _found(
        self, kind: ProblemKind, first: int, last: int, message: str, id_: int | None = None
    ) -> None:
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(kind, first, last, message, id_))
