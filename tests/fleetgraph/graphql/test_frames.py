"""Frames made by hand are frames to a WebSocket library."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from fleetgraph.graphql.frames import (
    PING,
    message_frame,
    next_frame,
    next_prefix,
    text_frame,
    text_of,
)


def parsed(data: bytes) -> Frame:
    """Return the one frame in the data, as a client reads it."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    parsing = Frame.parse(reader.read_exact, mask=False, max_size=None)
    with pytest.raises(StopIteration) as stop:
        next(parsing)
    assert not reader.buffer
    frame: Frame = stop.value.value
    return frame


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_text_of_any_length_is_one_frame(length: int) -> None:
    text = "x" * length
    frame = text_frame(text.encode())
    assert parsed(frame) == Frame(Opcode.TEXT, text.encode())
    assert text_of(frame) == text


@given(st.lists(st.binary(max_size=70_000), max_size=3))
def test_parts_are_joined(parts: list[bytes]) -> None:
    frame = parsed(text_frame(*parts))
    assert (frame.opcode, frame.data, frame.fin) == (Opcode.TEXT, b"".join(parts), True)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 9)),
)
def test_the_next_message_is_json_whatever_the_id(id_: str, data: dict[str, int]) -> None:
    frame = parsed(next_frame(next_prefix(id_), orjson.dumps({"data": data})))
    expected = {"id": id_, "type": "next", "payload": {"data": data}}
    assert orjson.loads(frame.data) == expected


@pytest.mark.parametrize("length", range(80, 100))
def test_the_next_message_has_the_right_length_around_the_first_border(length: int) -> None:
    payload = orjson.dumps("x" * length)
    frame = parsed(next_frame(next_prefix("1"), payload))
    assert orjson.loads(frame.data)["payload"] == "x" * length


def test_other_messages_are_frames_too() -> None:
    frame = parsed(message_frame("complete", id="ü"))
    assert orjson.loads(frame.data) == {"type": "complete", "id": "ü"}


def test_the_ping_is_empty() -> None:
    assert parsed(PING) == Frame(Opcode.PING, b"")
