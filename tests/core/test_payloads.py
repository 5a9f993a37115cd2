import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.payloads import (
    NESTING_MAX,
    Undecodable,
    decode_object,
    refuse_nesting,
    unpack,
)

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
Pack = Callable[[bytes], bytes]


def zstd(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(raw)


def zstd_of_unknown_size(raw: bytes) -> bytes:
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(raw) + stream.flush()


PACKERS = [zlib.compress, gzip.compress, zstd, zstd_of_unknown_size]


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("raw", [b"", b"{}", b'{"a":1}' * 5000])
def test_compression_is_told_by_the_first_bytes(pack: Pack, raw: bytes) -> None:
    assert unpack(pack(raw)) == raw


@pytest.mark.parametrize("level", [0, 1, 5, 9])
def test_zlib_of_every_level_is_known(level: int) -> None:
    assert unpack(zlib.compress(b"{}", level)) == b"{}"


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("around", PACKERS)
def test_two_layers_are_taken_off(pack: Pack, around: Pack) -> None:
    assert unpack(around(pack(b"{}"))) == b"{}"
    with pytest.raises(Undecodable, match="more than 2 times"):
        unpack(around(around(pack(b"{}"))))


@pytest.mark.parametrize("pack", PACKERS)
def test_exactly_the_limit_is_allowed(pack: Pack) -> None:
    assert len(unpack(pack(bytes(1000)), limit_bytes=1000)) == 1000
    with pytest.raises(Undecodable, match="inflates to more than 999 bytes"):
        unpack(pack(bytes(1000)), limit_bytes=999)


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("around", [None, zlib.compress])
def test_a_bomb_never_takes_much_more_memory_than_the_limit(
    pack: Pack, around: Pack | None
) -> None:
    bomb = pack(bytes(100 * MIB))
    if around:
        bomb = around(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable, match="inflates to more than"):
            unpack(bomb, limit_bytes=2 * MIB)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_a_plain_payload_is_bounded_too() -> None:
    assert unpack(b"{}", limit_bytes=2) == b"{}"
    with pytest.raises(Undecodable, match="more than 1 bytes"):
        unpack(b"{}", limit_bytes=1)


@pytest.mark.parametrize("pack", PACKERS)
def test_a_stream_that_is_cut_off_or_followed_is_refused(pack: Pack) -> None:
    whole = pack(b'{"readings":[]}' * 20)
    for broken in (whole[:-1], whole[:5], whole + b"x"):
        with pytest.raises(Undecodable, match="not a whole"):
            unpack(broken)


@given(st.binary(), st.sampled_from([b"", b"x\x9c", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"]))
def test_any_bytes_unpack_or_are_undecodable(rest: bytes, head: bytes) -> None:
    with contextlib.suppress(Undecodable):
        decode_object(unpack(head + rest, limit_bytes=10_000))


@pytest.mark.parametrize("raw", [b'{"a":[1]}', b' \r\n\t{"a":[1]} \n'])
def test_json_is_decoded(raw: bytes) -> None:
    assert decode_object(raw) == {"a": [1]}


@pytest.mark.parametrize(
    "raw",
    [b"\x81\xa1a\x91\x01", b"\xde\x00\x01\xa1a\x91\x01", b"\xdf\x00\x00\x00\x01\xa1a\x91\x01"],
)
def test_messagepack_maps_of_every_size_are_decoded(raw: bytes) -> None:
    assert decode_object(raw) == {"a": [1]}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"hello", "neither"),
        (b"\x05", "neither"),
        (b"{}x", "trailing"),
        (b"{", "truncated"),
        (b"\x80\x00", "trailing"),
        (b"\x81\xa1a", "truncated"),
        (b"\x81\xa1a\xa1\xff", "utf-8"),
        (b'{"a":"\xff"}', "JSON"),
        (b'{"a":NaN}', "invalid"),
        (b'{"a":1e400,"b":NaN}', "JSON"),
        (b'{"a":1e400,"b":"\\ud800"}', "out of range"),
        (b"\xdf\xff\xff\xff\xff", "truncated"),
        (b"[" * 100_000, "deeply"),
        (b"\x91" * 100_000, "deeply"),
    ],
)
def test_what_cannot_be_decoded_says_why(raw: bytes, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        decode_object(raw)


def test_a_number_beyond_float64_does_not_spoil_its_neighbours() -> None:
    assert decode_object(b'{"a":1e400,"b":2}') == {"a": Decimal("1e400"), "b": 2}


def test_messagepack_and_json_agree() -> None:
    thing = {"text": "é", "list": [1, 2.5, True, None], "map": {"a": {}}}
    assert decode_object(msgspec.msgpack.encode(thing)) == decode_object(msgspec.json.encode(thing))


@pytest.mark.parametrize(
    ("body", "is_refused"),
    [
        (b"[" * NESTING_MAX + b"]" * NESTING_MAX, False),
        (b"[" * (NESTING_MAX + 1) + b"1" + b"]" * (NESTING_MAX + 1), True),
        (b'{"a":' * (NESTING_MAX + 1) + b"1" + b"}" * (NESTING_MAX + 1), True),
        (b"[" + b"[]," * 1_000 + b"{}]", False),
        (b'["' + b"[" * 1_000 + b'"]', False),
    ],
)
def test_json_that_nests_too_deeply_is_refused_and_long_json_is_not(
    body: bytes, is_refused: bool
) -> None:
    with pytest.raises(InvalidInput) if is_refused else contextlib.nullcontext():
        refuse_nesting(body, msgspec.json.decode(body))
