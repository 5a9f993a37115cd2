"""Keyset paging: opaque cursors and the slice that a list use case returns."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.errors import InvalidInput

T = TypeVar("T")

PAGE_SIZE_MAX = 500


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """One page of a list: the rows, the cursor of each, the number that match in all."""

    items: list[T]
    cursors: list[str]
    has_next: bool
    total: int


@dataclass(frozen=True, slots=True)
class OpenSlice(Generic[T]):
    """One page of a list that is too long to be counted: the rows, and the cursor of each."""

    items: list[T]
    cursors: list[str]
    has_next: bool


def page_size(first: int, field: str = "first") -> int:
    """Return `first` when it is within 1 and 500, else raise InvalidInput."""
    if not 1 <= first <= PAGE_SIZE_MAX:
        raise InvalidInput(field, f"must be between 1 and {PAGE_SIZE_MAX}", limit=PAGE_SIZE_MAX)
    return first


def encode_cursor(text: str) -> str:
    """Wrap a sort key so that callers do not build cursors themselves."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, field: str = "after") -> str:
    """Return the sort key inside a cursor; raises InvalidInput for anything else."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        text = "\0"
    if "\0" in text:  # which PostgreSQL has no place for
        raise InvalidInput(field, "is not a cursor of this list")
    return text
