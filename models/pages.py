"""Pages of rows, newest first: each goes on behind the last row of the one before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from tortoise import fields
from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from core.clock import micros, moment_of
from core.errors import InvalidInput
from core.paging import Slice, decode_cursor, encode_cursor
from models.base import TenantModel

Id = TypeVar("Id")
Row = TypeVar("Row", bound="DatedModel")


class DatedModel(TenantModel):
    """A row of one tenant that tells when it was made; `newest_first` makes pages of them."""

    id = fields.UUIDField(primary_key=True, default=None)
    created_at = fields.DatetimeField()

    class Meta:
        abstract = True


async def newest_first(query: QuerySet[Row], first: int, after: str | None) -> Slice[Row]:
    """Return one page of what the query finds; raises InvalidInput for a bad cursor."""
    total = await query.count()
    if after is not None:
        created_at, id_ = read_cursor(after, UUID)
        query = query.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=id_))
    rows = await query.order_by("-created_at", "-id").limit(first + 1)
    items = rows[:first]
    cursors = [cursor_at(row.created_at, row.id) for row in items]
    return Slice(items, cursors, len(rows) > first, total)


def cursor_at(moment: datetime, id_: object) -> str:
    """Return the cursor of the row of this moment and id."""
    return encode_cursor(f"{micros(moment)} {id_}")


def read_cursor(
    after: str, id_of: Callable[[str], Id], field: str = "after"
) -> tuple[datetime, Id]:
    """Return moment and id of the row of a cursor; raises InvalidInput.

    `id_of` reads the id and raises ValueError for what cannot be one.
    """
    try:
        moment_us, id_text = decode_cursor(after, field).split(" ")
        return moment_of(int(moment_us)), id_of(id_text)
    except (ValueError, OverflowError):
        raise InvalidInput(field, "is not a cursor of this list") from None


def row_number(text: str) -> int:
    """Return the id of a row whose table numbers its rows; raises ValueError."""
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError(text)
    return number
