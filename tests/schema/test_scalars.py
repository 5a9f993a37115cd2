from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.scalars import (
    read_bytes,
    read_date_or_time,
    read_duration,
    read_long,
    read_moment,
    write_column,
    write_duration,
    write_moment,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m", 60), ("1h", 3_600), ("1d", 86_400), ("1w", 604_800), ("PT1M30S", 90)],
)
def test_reads_durations_in_both_notations(text: str, seconds: float) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "1", "m", "0s", "-1m", "1 m", "P", "PT", "PT0S", "1y", 60, "٣m", "9999999999w"]
)
def test_refuses_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        read_duration(value)


@given(st.integers(min_value=1, max_value=10**9))
def test_a_written_duration_reads_back(seconds: int) -> None:
    assert read_duration(write_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


def test_writes_the_largest_unit_that_divides_a_duration() -> None:
    spans = [timedelta(days=2), timedelta(hours=1), timedelta(minutes=90), timedelta(seconds=61)]
    assert [write_duration(span) for span in spans] == ["2d", "1h", "90m", "61s"]
    assert write_duration(timedelta(milliseconds=1_500)) == "PT1.500000S"


def test_writes_moments_in_utc_with_z() -> None:
    east = timezone(timedelta(hours=2))
    assert write_moment(datetime(2026, 3, 1, 12, tzinfo=east)) == "2026-03-01T10:00:00.000Z"
    fine = datetime(2026, 3, 1, 10, 0, 0, 1_500, tzinfo=UTC)
    assert write_moment(fine) == "2026-03-01T10:00:00.001500Z"


@pytest.mark.parametrize(
    "text", ["2026-03-01T10:00:00Z", "2026-03-01T12:00:00+02:00", "2026-03-01T10:00:00"]
)
def test_reads_moments_with_and_without_a_zone(text: str) -> None:
    assert read_moment(text) == datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", ["", "soon", "2026-13-01", 1772359524, "0001-01-01T00:00:00+14:00"]
)
def test_refuses_what_is_no_moment(value: object) -> None:
    with pytest.raises(ValueError, match="DateTime"):
        read_moment(value)


def test_a_column_is_plain_values_whatever_held_them() -> None:
    assert write_column(np.array([1, 2], dtype=np.int64)) == [1, 2]
    assert write_column([1.5, True, "on", None]) == [1.5, True, "on", None]
    with pytest.raises(TypeError, match="list or an array"):
        write_column("text")


def test_bytes_come_as_text_or_as_they_are() -> None:
    assert read_bytes("ä") == "ä".encode()
    assert read_bytes(b"\xff") == b"\xff"
    with pytest.raises(ValueError, match="text"):
        read_bytes(1)


@pytest.mark.parametrize("value", [True, 1.0, "1", 2**53 + 1])
def test_refuses_what_is_no_long(value: object) -> None:
    with pytest.raises(ValueError, match="53 bits"):
        read_long(value)


def test_a_date_stays_a_date_and_anything_longer_is_a_moment() -> None:
    assert read_date_or_time("2026-03-01") == date(2026, 3, 1)
    assert read_date_or_time("2026-03-01T00:00") == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", ["2026-02-30", "yesterday!", "", 20260301, None])
def test_refuses_what_is_neither_date_nor_moment(value: object) -> None:
    with pytest.raises(ValueError, match="is a text"):
        read_date_or_time(value)
