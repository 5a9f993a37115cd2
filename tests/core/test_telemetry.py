import json
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import telemetry
from core.payloads import Undecodable
from core.readings import Kind, Quality, Telemetry
from core.telemetry import REJECTS_MAX, decode
from core.telemetry_formats import READINGS_MAX

pytestmark = pytest.mark.slow

NOW_US = 1_772_359_600_000_000
T0 = "2026-03-01T10:05:24.000Z"
T0_US = 1_772_359_524_000_000
UUID_1 = "6a1d0c52-7b3e-4f80-8a11-9c2b3d4e5f60"
UUID_2 = "0d3c1b2a-0000-4000-8000-000000000001"
TRAFFIC = Path(__file__).parents[1] / "fixtures" / "agent-traffic"


def to_json(message: object) -> bytes:
    return msgspec.json.encode(message)


ENCODINGS = {
    "json": to_json,
    "messagepack": msgspec.msgpack.encode,
    "zlib json": lambda message: zlib.compress(to_json(message)),
    "zlib messagepack": lambda message: zlib.compress(msgspec.msgpack.encode(message)),
}


def rows(found: Telemetry) -> list[tuple[Any, ...]]:
    values: list[Any] = found.values.tolist()
    for index, kind in enumerate(found.kinds):
        if kind == Kind.BOOLEAN:
            values[index] = bool(values[index])
        elif kind != Kind.FLOAT:
            assert np.isnan(values[index])
            values[index] = found.texts.get(index)
    return list(
        zip(found.specs, found.times_us.tolist(), values, found.qualities.tolist(), strict=True)
    )


def one(**fields: object) -> Telemetry:
    return decode(to_json({"timestamp": T0, "messages": [{"metric": "m"} | fields]}), NOW_US)


def reason(message: object) -> str:
    with pytest.raises(Undecodable) as caught:
        decode(to_json(message), NOW_US)
    return caught.value.reason


def batch() -> dict[str, Any]:
    """The batch of the wire contract: one group and one flat reading."""
    return {
        "timestamp": T0,
        "protocol": "modbus",
        "messages": [
            {
                "timestamp": "2026-03-01T10:05:01.010Z",
                "readings": [
                    {
                        "timestamp": "2026-03-01T10:05:01.000Z",
                        "deviceName": "press_plc-6a1d0c52",
                        "deviceId": "modbus:tcp:192.0.2.20:502:slave:1",
                        "endpoint_uuid": UUID_1,
                        "device_uuid": UUID_2,
                        "protocol": "modbus",
                        "metric": "temp",
                        "value": 61.5,
                        "unit": "degreesCelsius",
                        "quality": "GOOD",
                        "unitValue": {"rawValue": 61.5, "provenance": {"sourceSystem": None}},
                    },
                    {"deviceName": "press_plc-6a1d0c52", "metric": "on", "value": True},
                ],
            },
            {
                "timestamp": "2026-03-01T10:05:03.000Z",
                "deviceName": "press_plc-6a1d0c52",
                "endpoint_uuid": UUID_1,
                "device_uuid": UUID_1.upper(),
                "metric": "speed",
                "value": None,
                "unit": "RPM",
                "quality": "BAD",
                "qualityCode": "DEVICE_OFFLINE",
            },
        ],
        "msgId": "3f2b8c14-5d6e-4a7b-9c8d-0e1f2a3b4c5d-1772359524000-0-k3x9",
    }


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_both_element_forms_are_read_in_every_encoding(encode: Any) -> None:
    found = decode(encode(batch()), NOW_US)
    name = "press_plc-6a1d0c52"
    assert rows(found) == [
        (
            (UUID_2, "temp", "degreesCelsius", "modbus", name, UUID_1),
            1_772_359_501_000_000,
            61.5,
            Quality.GOOD,
        ),
        ((name, "on", "", "modbus", name, ""), 1_772_359_501_010_000, True, Quality.UNKNOWN),
        (
            (UUID_1, "speed", "RPM", "modbus", name, UUID_1),
            1_772_359_503_000_000,
            None,
            Quality.BAD,
        ),
    ]
    assert found.rejects == []
    assert found.msg_id == batch()["msgId"]


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_the_recorded_batch_is_read_whole_and_by_the_typed_path(
    encode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.loads(line) for line in (TRAFFIC / "mqtt.jsonl").read_text().splitlines()]
    recorded = lines[3]["json"]
    monkeypatch.setattr(telemetry, "decode_object", None)  # the tolerant path is not taken
    found = decode(encode(recorded), NOW_US)
    assert len(found) == 36
    assert found.rejects == []
    assert len(set(found.specs)) == 3
    assert set(found.kinds.tolist()) == {Kind.FLOAT}
    assert len({spec.device for spec in found.specs}) == 1
    assert len(set(zip(found.specs, found.times_us.tolist(), strict=True))) == 36


values = st.none() | st.booleans() | st.text(max_size=5) | st.floats(allow_nan=False)
stamps = st.none() | st.sampled_from([T0, "", "2026-03-01", "x", 0, 1772359524000, "17723595240"])
words = st.none() | st.sampled_from(["", " ", "a", "modbus", UUID_1, UUID_1.upper(), "x" * 256])
readings = st.fixed_dictionaries(
    {},
    optional={
        "value": values,
        "timestamp": stamps,
        "metric": words,
        "deviceName": words,
        "device_uuid": words,
        "endpoint_uuid": words,
        "protocol": words,
        "unit": words,
        "quality": st.none() | st.sampled_from(["GOOD", "bad", "?", 0, 1, False, 2**31]),
    },
)
elements = readings | st.builds(
    lambda scope, inner: scope | {"readings": inner}, readings, st.lists(readings, max_size=3)
)
scopes = st.fixed_dictionaries(
    {},
    optional={
        "deviceName": words,
        "protocol": words,
        "timestamp": stamps,
        "metadata": st.fixed_dictionaries({}, optional={"protocol": words}),
    },
)


@given(scopes, st.lists(elements, max_size=4))
@settings(max_examples=200)
def test_typed_and_tolerant_reading_agree(scope: dict[str, Any], items: list[Any]) -> None:
    message = scope | {"messages": items}
    # A field that only the tolerant path knows must not change what is read.
    other = scope | {"messages": [*items, {"nodeType": "metadata"}]}
    for encode in (to_json, msgspec.msgpack.encode):
        fast, slow = decode(encode(message), NOW_US), decode(encode(other), NOW_US)
        assert rows(fast) == rows(slow)
        assert fast.rejects == slow.rejects


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
form_keys = st.sampled_from(
    [
        "messages",
        "readings",
        "tags",
        "features",
        "data",
        "metric",
        "value",
        "timestamp",
        "metadata",
        "quality",
        "unit",
        "deviceName",
        "v",
        "p",
        "msgId",
        "nodeType",
        "name",
    ]
)
form_values = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(form_keys, inner, max_size=4),
    max_leaves=8,
)


@given(json_values | st.dictionaries(form_keys, form_values))
@settings(max_examples=60)
def test_any_value_decodes_or_is_undecodable(message: Any) -> None:
    for raw in (json.dumps(message).encode(), pack(message)):
        if raw is None:
            continue
        try:
            found = decode(raw, NOW_US)
        except Undecodable:
            continue
        columns = (found.times_us, found.values, found.kinds, found.qualities)
        assert {len(column) for column in columns} == {len(found.specs)}
        assert all("\0" not in text for text in found.texts.values())


def pack(message: object) -> bytes | None:
    try:
        return msgspec.msgpack.encode(message)
    except OverflowError:
        return None


@pytest.mark.parametrize(
    ("value", "kind", "stored"),
    [
        (1, Kind.FLOAT, 1.0),
        (2**53 + 1, Kind.FLOAT, 9007199254740992.0),
        (2**70, Kind.FLOAT, 2.0**70),
        (-0.5, Kind.FLOAT, -0.5),
        (True, Kind.BOOLEAN, 1.0),
        (False, Kind.BOOLEAN, 0.0),
    ],
)
def test_numbers_and_booleans_keep_their_kind(value: Any, kind: Kind, stored: float) -> None:
    found = decode(json.dumps({"metric": "m", "value": value}).encode(), NOW_US)
    assert found.kinds.tolist() == [kind]
    assert found.values.tolist() == [stored]


def test_texts_stand_beside_the_column() -> None:
    found = decode(to_json({"readings": [{"metric": "m", "value": v} for v in (1, "21.5", "")]}), 0)
    assert found.kinds.tolist() == [Kind.FLOAT, Kind.TEXT, Kind.TEXT]
    assert found.texts == {1: "21.5", 2: ""}


def test_nan_and_infinity_survive_in_messagepack() -> None:
    sent = [float("nan"), float("inf"), float("-inf")]
    message = {"readings": [{"metric": "m", "value": value} for value in sent]}
    found = decode(msgspec.msgpack.encode(message), NOW_US)
    assert found.kinds.tolist() == [Kind.FLOAT] * 3
    np.testing.assert_array_equal(found.values, sent)


@pytest.mark.parametrize(
    ("stamp", "time_us"),
    [
        (T0, T0_US),
        ("2026-03-01T10:05:24.123Z", T0_US + 123_000),
        ("2026-03-01T10:05:24.123456Z", T0_US + 123_456),
        ("2026-03-01T10:05:24.123456789Z", T0_US + 123_456),
        ("2026-03-01T10:05:24Z", T0_US),
        ("2026-03-01T12:05:24+02:00", T0_US),
        ("2026-03-01 10:05:24", T0_US),
        (1772359524000, T0_US),
        (1772359524000.5, T0_US + 500),
        ("1772359524000", T0_US),
        ("1772359524000.25", T0_US + 250),
    ],
)
@pytest.mark.parametrize("level", ["reading", "message", "batch"])
def test_times_are_read_at_every_level(stamp: object, time_us: int, level: str) -> None:
    reading: dict[str, Any] = {"metric": "m", "value": 1}
    message: dict[str, Any] = {"readings": [reading]}
    whole: dict[str, Any] = {"messages": [message]}
    {"reading": reading, "message": message, "batch": whole}[level]["timestamp"] = stamp
    assert decode(to_json(whole), NOW_US).times_us.tolist() == [time_us]


def test_without_any_time_a_reading_is_of_its_arrival() -> None:
    for reading in ({"metric": "m"}, {"metric": "m", "timestamp": None}, {"name": "m"}):
        assert decode(to_json({"messages": [reading]}), NOW_US).times_us.tolist() == [NOW_US]


@pytest.mark.parametrize(
    "stamp",
    ["soon", "2026-13-01T10:05:24.000Z", "2026-03-01T10:05+01.000Z", -1, 1e300, True, {}, 2**70],
)
def test_a_reading_with_a_bad_time_is_rejected_alone(stamp: object) -> None:
    good = {"metric": "good", "value": 1}
    message = {"messages": [good, {"metric": "m", "timestamp": stamp}, good]}
    found = decode(json.dumps(message).encode(), NOW_US)
    assert [spec.metric for spec in found.specs] == ["good", "good"]
    assert [reject.reason.split()[0] for reject in found.rejects] == ["timestamp"]


@pytest.mark.parametrize(
    ("fields", "device"),
    [
        ({"device_uuid": UUID_1.upper(), "endpoint_uuid": UUID_2, "deviceName": "n"}, UUID_1),
        ({"deviceUuid": UUID_1}, UUID_1),
        ({"asset_uuid": "Line 4"}, "Line 4"),
        ({"endpoint_uuid": UUID_2.upper(), "deviceName": "n"}, UUID_2),
        ({"endpointUuid": UUID_2}, UUID_2),
        ({"deviceName": "n", "protocol": "opcua"}, "n"),
        ({"device_name": "n"}, "n"),
        ({"protocol": "OPCUA"}, "OPCUA"),
        ({}, "unknown"),
    ],
)
def test_a_device_is_its_uuid_else_its_endpoint_else_its_name(
    fields: dict[str, str], device: str
) -> None:
    assert one(value=1, **fields).specs[0].device == device


@pytest.mark.parametrize(
    ("scope", "fields", "protocol"),
    [
        ({"protocol": "modbus"}, {"protocol": "opcua"}, "modbus"),
        ({"protocol": "other"}, {"protocol": "OPCUA"}, "opcua"),
        ({"metadata": {"protocol": "bacnet"}, "protocol": "modbus"}, {}, "bacnet"),
        ({}, {"deviceName": "Modbus-7"}, "modbus"),
        ({}, {"deviceName": "press"}, "mqtt"),
    ],
)
def test_the_protocol_is_the_first_known_one(
    scope: dict[str, Any], fields: dict[str, Any], protocol: str
) -> None:
    message = scope | {"messages": [{"metric": "m"} | fields]}
    assert decode(to_json(message), NOW_US).specs[0].protocol == protocol


def test_a_metric_may_have_other_names_and_falls_back_to_the_device() -> None:
    items = [{"nodeName": "a", "name": "b"}, {"name": "b"}, {"deviceName": "press"}]
    found = decode(to_json({"messages": items}), NOW_US)
    assert [spec.metric for spec in found.specs] == ["a", "b", "press"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"metric": ""}, "no metric"),
        ({"metric": "x" * 256}, "metric is longer"),
        ({"metric": "a\0"}, "metric holds"),
        ({"deviceName": "x" * 256}, "device is longer"),
        ({"value": "x" * 70_000}, "text is longer"),
        ({"value": "é" * 40_000}, "text is longer"),
        ({"value": "a\0"}, "text holds"),
        ({"value": {"a": 1}}, "value is of type dict"),
        ({"value": [1]}, "value is of type list"),
    ],
)
def test_a_bad_reading_is_rejected_with_its_reason(fields: dict[str, Any], why: str) -> None:
    good = {"metric": "good", "value": 1}
    bad = {"metric": "m", "note": "kept"} | fields
    found = decode(to_json({"messages": [good, {"readings": [bad, good]}]}), NOW_US)
    assert [spec.metric for spec in found.specs] == ["good", "good"]
    assert len(found.rejects) == 1
    assert found.rejects[0].reason.startswith(why)
    assert '"note":"kept"' in found.rejects[0].part or len(found.rejects[0].part) == 2000


def test_names_and_texts_at_their_bounds_are_accepted() -> None:
    found = one(metric="x" * 255, deviceName="y" * 255, value="z" * 65_536)
    assert found.rejects == []
    assert len(found.texts[0]) == 65_536


def test_pieces_that_are_no_objects_are_rejected() -> None:
    message = {"messages": [5, None, {"readings": 5}, {"readings": ["x", {"metric": "m"}]}]}
    found = decode(to_json(message), NOW_US)
    assert len(found) == 1
    assert [reject.part for reject in found.rejects] == ["5", "null", '{"readings":5}', '"x"']


def test_attributes_of_a_wrong_type_do_not_cost_the_reading() -> None:
    found = one(value=1, unit={}, deviceName=12, quality=[], endpoint_uuid=None, protocol=True)
    assert found.rejects == []
    assert found.specs[0].device == "12"
    assert found.qualities.tolist() == [Quality.UNKNOWN]


@pytest.mark.parametrize("number", ["1e400", "1" + "0" * 400])
def test_a_number_beyond_float64_is_rejected_alone(number: str) -> None:
    raw = '{"readings":[{"metric":"a","value":%s},{"metric":"b","value":1}]}' % number  # noqa: UP031
    found = decode(raw.encode(), NOW_US)
    assert [spec.metric for spec in found.specs] == ["b"]
    assert len(found.rejects) == 1


def test_rejects_are_counted_beyond_the_first_hundred() -> None:
    found = decode(to_json({"messages": [5] * 250}), NOW_US)
    assert len(found.rejects) == REJECTS_MAX + 1
    assert found.rejects[-1].reason == "150 more parts are no readings"


def test_metadata_of_nodes_is_skipped() -> None:
    nodes = {"nodeType": "metadata", "metric": "m", "value": 1}
    assert len(decode(to_json(nodes), NOW_US)) == 0
    found = decode(to_json({"messages": [nodes, {"readings": [nodes, {"metric": "n"}]}]}), NOW_US)
    assert [spec.metric for spec in found.specs] == ["n"]
    assert found.rejects == []


@pytest.mark.parametrize(
    "message",
    [
        {"readings": [{"metric": "m", "value": 1}], "deviceName": "press", "timestamp": T0},
        {"metric": "m", "value": 1, "deviceName": "press", "timestamp": T0},
        {"nodeName": "m", "value": 1, "deviceName": "press", "timestamp": T0},
        {"data": {"metric": "m", "value": 1}, "deviceName": "press", "timestamp": T0},
        {"data": {"readings": [{"metric": "m", "value": 1}]}, "device_name": "press"}
        | {"timestamp": T0},
        {"data": {"messages": [{"name": "m", "value": 1}], "timestamp": T0}, "deviceName": "press"},
    ],
)
def test_the_rarer_forms_are_read(message: dict[str, Any]) -> None:
    assert rows(decode(to_json(message), NOW_US)) == [
        (("press", "m", "", "mqtt", "press", ""), T0_US, 1.0, Quality.UNKNOWN)
    ]


def test_tags_are_read() -> None:
    message = {
        "timestamp": 1772359524000,
        "node": "press_plc-6a1d0c52",
        "group": "modbus",
        "tags": [
            {"name": "temp", "rawName": "t", "value": 61.5, "unit": "°C", "dqStatus": "good"},
            {"name": "speed", "error": "TIMEOUT"},
            {"rawName": "on", "value": 1, "type": 1, "rawUnit": "x"},
        ],
        "msgId": "m-1",
    }
    name = "press_plc-6a1d0c52"
    found = decode(to_json(message), NOW_US)
    assert rows(found) == [
        ((name, "temp", "°C", "modbus", name, ""), T0_US, 61.5, Quality.GOOD),
        ((name, "speed", "", "modbus", name, ""), T0_US, None, Quality.BAD),
        ((name, "on", "x", "modbus", name, ""), T0_US, True, Quality.UNKNOWN),
    ]
    assert found.msg_id == "m-1"


def test_features_are_read() -> None:
    features = [
        {"name": "a", "value": 1.5, "dtype": "float32", "quality": "GOOD"},
        {"name": "b", "value": 0, "dtype": "bool", "quality": "GOOD"},
        5,
    ]
    message = {"schema": "iotistica.ml.v1", "timestamp": 1772359524000, "features": features}
    found = decode(to_json(message), NOW_US)
    assert [row[1:3] for row in rows(found)] == [(T0_US, 1.5), (T0_US, False)]
    assert [reject.part for reject in found.rejects] == ["5"]


def test_an_endpoints_sign_of_life_is_no_reading() -> None:
    beat = {"endpoint": "e", "timestamp": T0, "state": "running", "stats": {}, "msgId": "m"}
    found = decode(to_json(beat), NOW_US)
    assert len(found) == 0
    assert found.rejects == []


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"v": 1, "p": [[0, T0]]}, "key compaction"),
        ({"v": 1, "i": [0], "d": [1]}, "key compaction"),
        ({}, "holds no readings"),
        ([{"metric": "m"}], "not an object"),
        ({"messages": 5}, "messages is not a list"),
        ({"readings": {}}, "readings is not a list"),
        ({"data": 5}, "holds no readings"),
    ],
)
def test_a_message_without_readings_says_why(message: object, why: str) -> None:
    assert why in reason(message)


def test_broken_bytes_are_undecodable() -> None:
    whole = to_json(batch())
    for raw in (b"", b"online", whole[:-1], whole + b"x", zlib.compress(whole)[:-5], b"\xef\xbb"):
        with pytest.raises(Undecodable):
            decode(raw, NOW_US)


def test_a_hundred_thousand_readings_are_the_limit() -> None:
    reading = {"metric": "m", "value": 1}
    found = decode(to_json({"messages": [reading] * READINGS_MAX}), NOW_US)
    assert len(found) == READINGS_MAX
    too_many = [reading] * (READINGS_MAX + 1)
    assert "more than 100000" in reason({"messages": too_many})
    assert "more than 100000" in reason({"readings": too_many})
    assert "more than 100000" in reason({"messages": [{"readings": too_many}, {"value": {}}]})


def test_other_qualities_are_told_apart() -> None:
    sent = ["GOOD", "BAD", "UNCERTAIN", 0, False, True, 0x8000_0000, "stale", None]
    items = [{"metric": "m", "quality": quality} for quality in sent]
    found = decode(to_json({"messages": items}), NOW_US)
    assert found.qualities.tolist() == [0, 2, 1, 0, 2, 0, 2, 3, 4]


def test_the_memo_forgets_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.telemetry_series._MEMO_SERIES_MAX", 10)
    for n in range(30):
        found = decode(to_json({"messages": [{"metric": f"memo {n}", "value": 1}]}), NOW_US)
        assert found.specs[0].metric == f"memo {n}"
