"""Columns answered as rows: what legacy clients read, without an object per point in the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any


def with_rows(body: Any, member: str, newest_by: str | None) -> Any:
    """Return the body with `member`, an object of columns or a list of them, as one list of rows.

    In each object a list is a column and anything else repeats in every row. `newest_by` sorts
    all rows by one of their members, downwards. Raises ValueError if columns differ in length.
    """
    if not isinstance(body, dict) or body.get(member) is None:
        return body
    value = body[member]
    rows = [row for each in (value if isinstance(value, list) else [value]) for row in _rows(each)]
    if newest_by is not None:
        rows.sort(key=itemgetter(newest_by), reverse=True)
    return {**body, member: rows}


def _rows(series: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    members = {key: _listed(value) for key, value in (series or {}).items()}
    columns = {key: value for key, value in members.items() if isinstance(value, list)}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        yield {key: row.get(key, value) for key, value in members.items()}


def _listed(value: Any) -> Any:
    """Arrays of NumPy and of the standard library as lists, anything else as it is."""
    to_list = getattr(value, "tolist", None)
    return to_list() if to_list is not None else value
