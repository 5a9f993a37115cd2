import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import logs
from core.logs import LINE_BYTES_MAX, LINES_MAX, MESSAGE_CHARS_MAX, LogLine, parse_log_lines
from core.payloads import storable

NOW_US = 1_772_359_600_000_000
TRAFFIC = Path(__file__).parents[1] / "fixtures" / "agent-traffic"
AGENT_LINE = {
    "timestamp": 1772359524000,
    "level": "info",
    "message": "made-up log text",
    "source": {"type": "system", "name": "Sync"},
    "isSystem": True,
    "deviceId": "3f2b8c14-5d6e-4a7b-9c8d-0e1f2a3b4c5d",
    "context": {"component": "Sync", "version": 7},
}


def one(**fields: object) -> LogLine:
    parsed = parse_log_lines(msgspec.json.encode({"message": "m"} | fields), NOW_US)
    assert parsed.skipped == 0
    (line,) = parsed.lines
    return line


def test_an_agents_line_is_read() -> None:
    body = json.dumps(AGENT_LINE).encode() + b"\n"
    assert parse_log_lines(body, NOW_US).lines == [
        LogLine(
            time_us=1_772_359_524_000_000,
            level="info",
            message="made-up log text",
            service="Sync",
            is_system=True,
            is_stderr=False,
            meta={"component": "Sync", "version": 7},
        )
    ]


def test_lines_and_an_array_read_the_same() -> None:
    lines = [AGENT_LINE | {"message": f"line {n}"} for n in range(3)]
    ndjson = b"\r\n".join(msgspec.json.encode(line) for line in lines)
    assert parse_log_lines(ndjson, NOW_US) == parse_log_lines(msgspec.json.encode(lines), NOW_US)
    assert len(parse_log_lines(ndjson, NOW_US).lines) == 3


def test_a_containers_line_is_read() -> None:
    line = one(serviceName="web", isStdErr=True, isSystem=False, timestamp="2026-03-01T10:00:00Z")
    assert (line.service, line.is_stderr, line.is_system) == ("web", True, False)
    assert line.time_us == 1_772_359_200_000_000
    assert one(isStderr=True).is_stderr


@pytest.mark.parametrize("stamp", [None, "yesterday", True, {}, -5, 1e30, 2**70])
def test_a_line_without_a_usable_time_gets_that_of_the_upload(stamp: object) -> None:
    assert one(timestamp=stamp).time_us == NOW_US


@pytest.mark.parametrize(
    ("sent", "level"),
    [(None, "info"), ("", "info"), ("WARN", "warn"), ("warning", "warn"), ("fatal", "error")],
)
def test_levels_are_the_usual_words(sent: str | None, level: str) -> None:
    assert one(level=sent).level == level


def test_meta_and_context_are_merged_and_storable() -> None:
    assert one(meta={"a": 1, "b": "x\0"}, context={"a": 2}).meta == {"a": 2, "b": "x"}
    assert one(meta=[1], context="x").meta == {}


def test_bad_lines_are_skipped_and_counted() -> None:
    body = b'{"message":"a"}\nnot json\n{"message":""}\n[1]\n5\n{"level":"info"}\n\n{"message":"b"'
    parsed = parse_log_lines(body, NOW_US)
    assert [line.message for line in parsed.lines] == ["a"]
    assert parsed.skipped == 6
    assert parse_log_lines(b'[{"message":"a"},5]', NOW_US).skipped == 1
    assert parse_log_lines(b'[{"message":"a"}', NOW_US).skipped == 1
    assert parse_log_lines(b" \n", NOW_US).skipped == 0


def test_long_messages_are_cut() -> None:
    assert len(one(message="x" * 100_000).message) == MESSAGE_CHARS_MAX


def test_recorded_uploads_are_read_whole() -> None:
    recorded = [json.loads(line) for line in (TRAFFIC / "http.jsonl").read_text().splitlines()]
    bodies = [r["body"] for r in recorded if r["url"].endswith("/logs")]
    assert bodies
    for body in bodies:
        raw = body if isinstance(body, str) else "\n".join(map(json.dumps, body))
        parsed = parse_log_lines(raw.encode(), NOW_US)
        assert parsed.lines
        assert parsed.skipped == 0


@given(st.binary() | st.text().map(str.encode))
def test_no_body_raises(body: bytes) -> None:
    parse_log_lines(body, NOW_US)
    parse_log_lines(b"[" + body, NOW_US)


def test_a_line_that_is_too_long_is_skipped_and_its_neighbours_are_not() -> None:
    long = msgspec.json.encode({"message": "x" * LINE_BYTES_MAX})
    for body in (
        b'{"message":"a"}\n' + long + b'\n{"message":"b"}',
        b'[{"message":"a"},' + long + b',{"message":"b"}]',
    ):
        parsed = parse_log_lines(body, NOW_US)
        assert ([line.message for line in parsed.lines], parsed.skipped) == (["a", "b"], 1)


def test_lines_behind_the_limit_are_counted_as_skipped() -> None:
    parsed = parse_log_lines(b'{"message":"m"}\n' * (LINES_MAX + 3), NOW_US)
    assert (len(parsed.lines), parsed.skipped) == (LINES_MAX, 3)


def test_a_long_array_is_read_to_the_limit() -> None:
    parsed = parse_log_lines(b"[" + b'{"message":"m"},' * (LINES_MAX + 2) + b"{}]", NOW_US)
    assert (len(parsed.lines), parsed.skipped) == (LINES_MAX, 3)


@pytest.mark.parametrize(
    "body",
    [
        b"{}\n" * 3_400_000,
        b"\n" * 10_000_000,
        b"[" + b"{}," * 3_400_000 + b"{}]",
        b"[" * 5_000_000,
        b"[" + b"{}," * 3_400_000,
        b"[" + b"\\ud800" * 1_600_000,
        b" " * 5_000_000 + b"[",
    ],
    ids=["lines", "newlines", "array", "nested", "cut off", "halves", "blanks"],
)
def test_a_body_of_next_to_nothing_many_times_is_not_decoded(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = Counter[str]()

    def counted(value: object) -> object:
        decoded["items"] += 1
        return storable(value)

    monkeypatch.setattr(logs, "storable", counted)
    parsed = parse_log_lines(body, NOW_US)
    assert not parsed.lines
    assert decoded["items"] <= LINES_MAX


def test_an_array_mends_its_items_one_by_one() -> None:
    body = b'[{"message":"\xff"},{"message":"b"} , {"message":"\\u0000c"}]\n'
    parsed = parse_log_lines(body, NOW_US)
    assert [line.message for line in parsed.lines] == ["\ufffd", "b", "c"]
    halves = parse_log_lines(b'[{"message":"\\ud83d"},{"message":"b"}]', NOW_US)
    assert [line.message for line in halves.lines] == ["\ufffd", "b"]


@pytest.mark.parametrize(
    "cut",
    [b'[{"message":"a"},{"mess', b'[{"message":"a"},', b'[{"message":"a"}]x', b'[{"message":"a"}'],
)
def test_an_array_that_is_cut_off_keeps_its_start(cut: bytes) -> None:
    assert [line.message for line in parse_log_lines(cut, NOW_US).lines] == ["a"]


def test_an_array_of_lists_without_end_is_one_bad_line() -> None:
    assert parse_log_lines(b"[" * 100_000, NOW_US).skipped == 1


def test_lines_are_timed_only_when_all_of_them_are() -> None:
    timed, untimed = b'{"message":"a","timestamp":1772359524000}\n', b'{"message":"b"}\n'
    assert parse_log_lines(timed * 2, NOW_US).are_timed
    assert not parse_log_lines(timed + untimed, NOW_US).are_timed
