"""What clients may say, and that nothing else passes."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgraph.graphql.codes import CloseCode, Violation, fitting
from fleetgraph.graphql.socket_messages import (
    ID_CHARS_MAX,
    Complete,
    ConnectionInit,
    Ping,
    Pong,
    Subscribe,
    read_message,
)

Json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "id", "payload", "query", "x"]), inner, max_size=4
        )
    ),
)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"type": "connection_init"}, ConnectionInit(None)),
        ({"type": "connection_init", "payload": None}, ConnectionInit(None)),
        ({"type": "connection_init", "payload": {"a": 1}}, ConnectionInit({"a": 1})),
        ({"type": "ping", "payload": {"a": 1}}, Ping({"a": 1})),
        ({"type": "pong", "payload": {}}, Pong()),
        ({"type": "complete", "id": "1"}, Complete("1")),
        (
            {"type": "subscribe", "id": "1", "payload": {"query": "q"}},
            Subscribe("1", {"query": "q"}),
        ),
        ({"type": "ping", "more": 1}, Ping(None)),
    ],
)
def test_reads_what_the_protocol_knows(said: object, read: object) -> None:
    assert read_message(orjson.dumps(said)) == read
    assert read_message(orjson.dumps(said).decode()) == read


def refusal_of(data: bytes) -> Violation | None:
    try:
        read_message(data)
    except Violation as violation:
        return violation
    return None


@given(Json | st.fixed_dictionaries({"type": st.sampled_from(["ping", "subscribe", "x"])}))
def test_anything_else_is_an_invalid_message(said: object) -> None:
    refusal = refusal_of(orjson.dumps(said))
    if refusal is None:
        assert isinstance(said, dict)
        assert said["type"] == "ping"
    else:
        assert refusal.code is CloseCode.INVALID_MESSAGE
        assert refusal.reason.startswith("Invalid message: ")


@given(st.binary(max_size=50))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    refusal = refusal_of(data)
    assert refusal is not None
    assert refusal.code is CloseCode.INVALID_MESSAGE


def test_an_id_has_an_end() -> None:
    longest = "i" * ID_CHARS_MAX
    assert read_message(orjson.dumps({"type": "complete", "id": longest})) == Complete(longest)
    assert refusal_of(orjson.dumps({"type": "complete", "id": longest + "i"}))


@given(st.text())
def test_a_reason_fits_into_a_close_frame(reason: str) -> None:
    assert len(fitting(reason).encode()) <= 123
