from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections import deque
from collections.abc import Callable, Iterator

import pytest
import zstandard

from core.errors import InvalidInput, PayloadTooLarge
from core.inflating import Inflater, inflate

MIB = 1024 * 1024
Pack = Callable[[bytes], bytes]


def zstd(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(raw)


def zstd_of_unknown_size(raw: bytes) -> bytes:
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(raw) + stream.flush()


def raw_deflate(raw: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(raw) + stream.flush()


ENCODINGS = pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("zstd", zstd),
        ("zstd", zstd_of_unknown_size),
        ("identity", bytes),
        ("identity, gzip", gzip.compress),
        ("", bytes),
        (None, bytes),
    ],
)


@ENCODINGS
def test_http_bodies_are_inflated_as_their_header_says(encoding: str | None, pack: Pack) -> None:
    assert inflate(pack(b"hello"), encoding, 5) == b"hello"
    with pytest.raises(PayloadTooLarge):
        inflate(pack(b"hello"), encoding, 4)


@ENCODINGS
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_it_does_not_matter_in_what_pieces_a_body_comes(
    encoding: str | None, pack: Pack, step: int
) -> None:
    raw = b'{"message":"line"}\n' * 500
    packed = pack(raw)
    inflater = Inflater(encoding, len(raw))
    for start in range(0, len(packed), step):
        inflater.feed(packed[start : start + step])
    assert inflater.finish() == raw


@pytest.mark.parametrize("raw", [b'{"message":"a"}\n', b'[{"a":1}]', b"\n {}", b"[" + b" " * 9])
def test_raw_deflate_is_told_from_text_that_only_claims_to_be_deflated(raw: bytes) -> None:
    assert inflate(raw, "deflate", 100) == raw
    for level in range(10):
        stream = zlib.compressobj(level, wbits=-15)
        packed = stream.compress(raw) + stream.flush()
        assert inflate(packed, "deflate", 100) == raw


def test_gzip_is_known_when_a_proxy_lost_the_header() -> None:
    for encoding in (None, "", "identity"):
        assert inflate(gzip.compress(b"hello"), encoding, 5) == b"hello"
        with pytest.raises(PayloadTooLarge, match="Inflated body"):
            inflate(gzip.compress(b"hello"), encoding, 4)


def test_gzip_members_one_after_the_other_are_one_body() -> None:
    assert inflate(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", 2) == b"ab"
    with pytest.raises(PayloadTooLarge):
        inflate(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", 1)


@pytest.mark.parametrize("size", [2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20])
def test_nothing_is_lost_between_the_steps_of_inflation(size: int) -> None:
    for pack in (gzip.compress, zlib.compress):
        assert inflate(pack(bytes(size)), "gzip", size) == bytes(size)


@pytest.mark.parametrize("encoding", ["br", "compress", "aws-chunked", "x"])
def test_an_unknown_encoding_is_refused_with_those_that_are_known(encoding: str) -> None:
    with pytest.raises(InvalidInput, match="send one of gzip, deflate, zstd, identity") as refused:
        inflate(b"{}", encoding, 10)
    assert refused.value.facts["field"] == "Content-Encoding"


def test_encodings_around_each_other_are_refused() -> None:
    with pytest.raises(InvalidInput, match="more than one encoding"):
        inflate(gzip.compress(gzip.compress(b"{}")), "gzip, gzip", 10)


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd)]
)
def test_a_stream_that_is_not_whole_is_the_callers_fault(encoding: str, pack: Pack) -> None:
    whole = pack(b'{"message":"line"}\n' * 50)
    for broken in (whole[:-1], whole[:5], whole + b"x", b"\x01\x02\x03", b""):
        with pytest.raises(InvalidInput, match=f"body: not a whole {encoding} stream"):
            inflate(broken, encoding, 10_000)


def _gzip_bomb(size: int) -> Iterator[bytes]:
    stream = zlib.compressobj(9, wbits=31)
    yield stream.compress(bytes(MIB)) + stream.flush(zlib.Z_FULL_FLUSH)
    # Behind a full flush the same bytes are packed the same again.
    piece = stream.compress(bytes(MIB)) + stream.flush(zlib.Z_FULL_FLUSH)
    yield piece * (size // MIB - 1)


def _zstd_bomb(size: int) -> Iterator[bytes]:
    stream = zstandard.ZstdCompressor().compressobj()
    for _ in range(size // MIB):
        yield stream.compress(bytes(MIB))
    yield stream.flush()


@pytest.mark.parametrize(
    ("encoding", "bomb"), [("gzip", _gzip_bomb), (None, _gzip_bomb), ("zstd", _zstd_bomb)]
)
def test_a_bomb_of_a_gigabyte_never_takes_more_memory_than_the_limit(
    encoding: str | None, bomb: Callable[[int], Iterator[bytes]]
) -> None:
    packed = b"".join(bomb(1024 * MIB))
    pieces = [packed[start : start + 64 * 1024] for start in range(0, len(packed), 64 * 1024)]
    inflater = Inflater(encoding, 10 * MIB)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            deque(map(inflater.feed, pieces), 0)
        assert tracemalloc.get_traced_memory()[1] < 13 * MIB
    finally:
        tracemalloc.stop()


def test_a_zstd_frame_may_not_make_us_set_aside_a_window_of_any_size() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(InvalidInput, match="not a whole zstd stream"):
        inflate(stream.compress(b"{}") + stream.flush(), "zstd", 100)
