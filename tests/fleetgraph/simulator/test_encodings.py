import gzip
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from core.errors import InvalidInput
from fleetgraph.simulator.batches import Form, Format, Layout, Poll, build
from fleetgraph.simulator.encodings import Encoding, encode, encoding_for, parse_encodings
from fleetgraph.simulator.plant import Plant, Sample
from fleetgraph.simulator.readings import source_of
from fleetgraph.simulator.wire import iso_ms, topic_prefix

AGENT = "3f2b8c14-5d6e-4a7b-9c8d-0e1f2a3b4c5d"
AT = datetime(2026, 3, 1, 10, 5, 24, 120_000, tzinfo=UTC)


def polls(count: int = 2) -> list[Poll]:
    plant = Plant(seed=1, agents=1)
    machine = plant.machines[0]
    source = source_of(AGENT, machine)
    return [
        Poll(source, AT.replace(second=second), plant.sample(machine, AT.timestamp() + second))
        for second in range(count)
    ]


def batch(layout: Layout, given: list[Poll] | None = None) -> dict[str, Any]:
    return build(given or polls(), layout, at=AT, msg_id="m-1")


def sniff(data: bytes) -> Any:
    if data[:1] == b"\x78":
        data = zlib.decompress(data)
    elif data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    elif data[:4] == b"\x28\xb5\x2f\xfd":
        data = zstandard.ZstdDecompressor().decompress(data)
    return json.loads(data) if data[:1] == b"{" else msgspec.msgpack.decode(data)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize(
    "layout", [Layout(f, m, r) for f in Format for m in Form for r in (False, True)]
)
def test_a_consumer_that_sniffs_reads_every_encoding(encoding: Encoding, layout: Layout) -> None:
    document = batch(layout)
    data = encode(document, encoding)
    assert sniff(data) == document
    assert (data[:1] == b"{") is (encoding is Encoding.JSON)


def test_the_first_and_every_thousandth_message_is_plain_json() -> None:
    chosen = [encoding_for(Encoding.ZLIB_MSGPACK, n) for n in range(2001)]
    plain = [n for n, encoding in enumerate(chosen) if encoding is Encoding.JSON]
    assert plain == [0, 1000, 2000]


def test_nested_flat_and_mixed_elements() -> None:
    nested = batch(Layout(form=Form.NESTED))["messages"]
    flat = batch(Layout(form=Form.FLAT))["messages"]
    mixed = batch(Layout(form=Form.MIXED))["messages"]
    assert [len(element["readings"]) for element in nested] == [7, 7]
    assert len(flat) == 14
    assert all("metric" in element for element in flat)
    assert {"readings" in element for element in mixed} == {True, False}
    counted = sum(len(element.get("readings", [0])) for element in mixed)
    assert counted == 14


def test_a_full_reading_has_every_field_of_a_recorded_one() -> None:
    first = batch(Layout(rich=True))["messages"][0]["readings"][0]
    recorded = json.loads(RECORDED_READING)
    assert shape(first) == shape(recorded)
    assert 1000 < len(json.dumps(first)) < 1400


def test_a_dead_device_gives_null_and_its_reason() -> None:
    plant = Plant(seed=1, agents=1)
    source = source_of(AGENT, plant.machines[0])
    dead = [Poll(source, AT, [Sample("temperature", "°C", None, "BAD", "TIMEOUT")])]
    element = batch(Layout(form=Form.FLAT), dead)["messages"][0]
    assert (element["value"], element["quality"], element["qualityCode"]) == (
        None,
        "BAD",
        "TIMEOUT",
    )
    assert "protocol" not in element
    tag = batch(Layout(Format.TAGS), dead)["tags"][0]
    assert tag["error"] == "TIMEOUT"
    assert "value" not in tag


def test_tags_keep_the_newest_per_name_and_features_keep_all() -> None:
    tags, ml = batch(Layout(Format.TAGS)), batch(Layout(Format.ML))
    assert len(tags["tags"]) == 7
    assert len(ml["features"]) == 14
    assert ml["schema"] == "iotistica.ml.v1"
    assert tags["timestamp"] == int(AT.replace(second=1).timestamp() * 1000)
    types = {tag["rawName"]: tag["type"] for tag in batch(Layout(Format.ECP))["tags"]}
    assert (types["running"], types["pieces"], types["speed"], types["state"]) == (1, 2, 3, 4)


def test_ids_in_topics_are_encoded_as_agents_do() -> None:
    assert topic_prefix("self-hosted", AGENT) == "i/self-hosted/a/PyuMFF1uSnucjQ4fKjtMXQ"
    assert topic_prefix("0a1b2c3d4e5f", AGENT) == "i/ChssPU5f/a/PyuMFF1uSnucjQ4fKjtMXQ"
    assert iso_ms(AT) == "2026-03-01T10:05:24.120Z"


def test_encodings_are_named_or_all() -> None:
    assert parse_encodings("mixed") == list(Encoding)
    assert parse_encodings("json, zlib+msgpack") == [Encoding.JSON, Encoding.ZLIB_MSGPACK]
    with pytest.raises(InvalidInput, match="brotli"):
        parse_encodings("json,brotli")


def shape(value: Any) -> Any:
    return {key: shape(inner) for key, inner in value.items()} if isinstance(value, dict) else None


RECORDED_READING = Path(__file__).with_name("recorded_reading.json").read_text()
