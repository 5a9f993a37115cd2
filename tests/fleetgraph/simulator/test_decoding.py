"""What the simulator sends, read by the product's own decoder."""

import pytest

from core.readings import Kind, Quality
from core.telemetry import decode
from fleetgraph.simulator.batches import Form, Format, Layout, Poll
from fleetgraph.simulator.encodings import Encoding, encode
from fleetgraph.simulator.faults import parse_fault
from fleetgraph.simulator.load import LoadOptions, LoadTarget, factory
from fleetgraph.simulator.payloads import Payload
from fleetgraph.simulator.plant import Plant
from fleetgraph.simulator.readings import source_of
from tests.fleetgraph.simulator.test_encodings import AGENT, AT, batch

RECEIVED_US = 1_772_359_600_000_000


def polls() -> list[Poll]:
    plant = Plant(seed=1, agents=1)
    machine = plant.machines[0]
    source = source_of(AGENT, machine)
    plant.inject(parse_fault("dropout press-01 speed 60"), AT.timestamp() + 1)
    moments = [AT.replace(second=second) for second in (24, 25)]
    return [Poll(source, at, plant.sample(machine, at.timestamp())) for at in moments]


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize(
    "layout", [Layout(Format.CUSTOM, m, r) for m in Form for r in (True, False)]
)
def test_every_reading_of_the_default_format_is_understood(
    encoding: Encoding, layout: Layout
) -> None:
    telemetry = decode(encode(batch(layout, polls()), encoding), RECEIVED_US)
    assert telemetry.rejects == []
    assert len(telemetry) == 14
    found = {
        (spec.metric, int(time))
        for spec, time in zip(telemetry.specs, telemetry.times_us, strict=True)
    }
    assert len(found) == 14
    assert {spec.device for spec in telemetry.specs} == {source_uuid()}
    assert {Kind(kind) for kind in telemetry.kinds} == set(Kind)
    assert {Quality(quality) for quality in telemetry.qualities} == {Quality.GOOD, Quality.BAD}
    assert telemetry.msg_id == "m-1"


@pytest.mark.parametrize(("kind", "count"), [(Format.TAGS, 7), (Format.ECP, 7), (Format.ML, 14)])
def test_the_other_formats_are_understood(kind: Format, count: int) -> None:
    telemetry = decode(encode(batch(Layout(kind), polls()), Encoding.JSON), RECEIVED_US)
    assert telemetry.rejects == []
    assert len(telemetry) == count


@pytest.mark.parametrize("payload", Payload)
def test_every_reading_of_a_load_has_its_own_series_and_time(payload: Payload) -> None:
    targets = [LoadTarget("load", "i/t/a/x")]
    options = LoadOptions("127.0.0.1", 1, targets, messages=1, series=20, payload=payload)
    packets, topic = factory(options, 0, 1_772_359_524_000), b"i/t/a/x/endpoints/modbus"
    found: set[tuple[str, str, int]] = set()
    for number in range(50):
        packet = packets.packet(number)
        telemetry = decode(packet[packet.index(topic) + len(topic) + 2 :], RECEIVED_US)
        assert telemetry.rejects == []
        assert set(telemetry.times_us) == {packets.time_ms(number) * 1000}
        specs = zip(telemetry.specs, telemetry.times_us, strict=True)
        found |= {(spec.device, spec.metric, int(time)) for spec, time in specs}
    assert len(found) == 500


def source_uuid() -> str:
    return source_of(AGENT, Plant(seed=1, agents=1).machines[0]).uuid
