import pytest

from core.errors import InvalidInput
from fleetgraph.simulator.faults import FaultKind, FaultRequest, parse_fault
from fleetgraph.simulator.machines import KINDS, MachineState, MetricKind
from fleetgraph.simulator.plant import Machine, Plant, Sample

NOON = 1_772_366_400.0


def named(plant: Plant, name: str) -> Machine:
    return next(machine for machine in plant.machines if machine.name == name)


def value(plant: Plant, name: str, metric: str, at: float) -> Sample:
    return next(s for s in plant.sample(named(plant, name), at) if s.metric == metric)


def number(plant: Plant, name: str, metric: str, at: float) -> float:
    found = value(plant, name, metric, at).value
    assert isinstance(found, float)
    return found


def test_same_seed_and_time_give_the_same_values_in_any_order() -> None:
    one, two = Plant(seed=7, agents=4), Plant(seed=7, agents=4)
    times = [NOON + step * 13.7 for step in range(50)]
    forward = [one.sample(machine, at) for at in times for machine in one.machines]
    backward = [two.sample(m, at) for at in reversed(times) for m in reversed(two.machines)]
    assert forward == list(reversed(backward))


def test_another_seed_gives_other_values() -> None:
    one, two = Plant(seed=1, agents=1), Plant(seed=2, agents=1)
    assert one.sample(one.machines[0], NOON) != two.sample(two.machines[0], NOON)


def test_every_kind_of_machine_has_four_to_seven_metrics() -> None:
    assert [kind.name for kind in KINDS] == ["press", "pump", "oven", "compressor"]
    assert all(4 <= len(kind.metrics) <= 7 for kind in KINDS)
    kinds = {metric.kind for kind in KINDS for metric in kind.metrics}
    assert kinds == set(MetricKind)


def test_machines_visit_all_states_and_the_signals_follow() -> None:
    plant = Plant(seed=3, agents=1)
    press = plant.machines[0]
    speeds: dict[MachineState, list[float]] = {state: [] for state in MachineState}
    for step in range(8640):
        at = NOON - 43_200 + step * 10
        speeds[plant.state(press, at)].append(number(plant, "press-01", "speed", at))
    means = {state: sum(found) / len(found) for state, found in speeds.items()}
    assert means[MachineState.RUNNING] > 1400
    assert means[MachineState.IDLE] < 500


def test_text_and_boolean_tell_the_state() -> None:
    plant = Plant(seed=3, agents=1)
    for step in range(2000):
        at = NOON + step * 7
        state = plant.state(plant.machines[0], at)
        assert value(plant, "press-01", "state", at).value == state
        assert value(plant, "press-01", "running", at).value is (state is MachineState.RUNNING)


def test_counters_never_fall_within_a_day() -> None:
    plant = Plant(seed=3, agents=1)
    midnight = NOON - NOON % 86_400
    counts = [value(plant, "press-01", "pieces", midnight + s).value for s in range(0, 86_400, 60)]
    numbers = [count for count in counts if isinstance(count, int)]
    assert numbers == sorted(numbers)
    assert len(numbers) == 1440
    assert numbers[-1] > 10_000


def test_a_day_has_a_rhythm() -> None:
    plant = Plant(seed=3, agents=4)
    oven = named(plant, "oven-01")

    def mean(hour: int) -> float:
        day = NOON - NOON % 86_400
        times = [day + hour * 3600 + step * 20 for step in range(180)]
        running = [at for at in times if plant.state(oven, at) is MachineState.RUNNING]
        settled = [number(plant, "oven-01", "humidity", at) for at in running]
        return sorted(settled)[len(settled) // 2]

    assert mean(15) > mean(3) + 2


def test_a_spike_leaves_the_range_and_comes_back() -> None:
    plant, calm = Plant(seed=1, agents=1), Plant(seed=1, agents=1)
    plant.inject(parse_fault("spike press-01 temperature 10"), NOON)
    for at, is_high in ((NOON - 1, False), (NOON + 5, True), (NOON + 10, False)):
        jump = number(plant, "press-01", "temperature", at)
        jump -= number(calm, "press-01", "temperature", at)
        assert (jump > 40) is is_high
    assert number(plant, "press-01", "speed", NOON + 5) == number(
        calm, "press-01", "speed", NOON + 5
    )


def test_a_drift_grows() -> None:
    plant, calm = Plant(seed=1, agents=1), Plant(seed=1, agents=1)
    request = FaultRequest(FaultKind.DRIFT, machine="press-01", metric="speed", seconds=100)
    plant.inject(request, NOON)
    gaps = [
        number(plant, "press-01", "speed", at) - number(calm, "press-01", "speed", at)
        for at in (NOON, NOON + 25, NOON + 50, NOON + 99)
    ]
    assert gaps == sorted(gaps)
    assert gaps[0] == 0.0
    assert gaps[-1] > 2000


def test_a_stuck_sensor_says_the_same_for_ever() -> None:
    plant = Plant(seed=1, agents=1)
    before = number(plant, "press-01", "vibration", NOON)
    plant.inject(parse_fault("stuck press-01 vibration 60"), NOON)
    during = {number(plant, "press-01", "vibration", NOON + step) for step in range(60)}
    assert during == {before}
    assert number(plant, "press-01", "vibration", NOON + 60) != before


def test_a_dropout_gives_null_with_bad_quality_and_a_reason() -> None:
    plant = Plant(seed=1, agents=1)
    plant.inject(parse_fault("dropout press-01 30"), NOON)
    for sample in plant.sample(plant.machines[0], NOON + 1):
        assert sample[2:] == (None, "BAD", "DEVICE_OFFLINE")
    assert all(s.quality == "GOOD" for s in plant.sample(plant.machines[0], NOON + 31))


def test_offline_silences_the_agent_of_the_machine() -> None:
    plant = Plant(seed=1, agents=2)
    plant.inject(parse_fault("offline gateway-02 30"), NOON)
    assert plant.offline_until("gateway-02", NOON + 1) == NOON + 30
    assert plant.offline_until("gateway-02", NOON + 30) == 0.0
    assert plant.offline_until("gateway-01", NOON + 1) == 0.0


def test_random_faults_come_at_the_set_rate_and_the_same_for_the_same_seed() -> None:
    def faults() -> list[object]:
        plant = Plant(seed=5, agents=8, fault_rate_per_hour=2.0)
        return [f for step in range(36_000 // 5) for f in plant.advance(NOON + step * 5)]

    found = faults()
    assert found == faults()
    assert 120 < len(found) < 200  # 8 machines, 10 hours, 2 an hour
    quiet = Plant(seed=5, agents=8)
    assert not [f for step in range(1000) for f in quiet.advance(NOON + step * 5)]


def test_what_a_request_leaves_open_is_chosen() -> None:
    fault = Plant(seed=1, agents=4).inject(FaultRequest(FaultKind.SPIKE), NOON)
    assert fault.machine
    assert fault.metric


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("melt press-01", "none of spike"),
        ("", "expected one of"),
        ("spike press-99", "no 'press-99'"),
        ("offline gateway-99", "no 'gateway-99'"),
        ("spike press-01 state 5", "can spike in: temperature"),
        ("spike press-01 temperature now 5", "expected: KIND"),
        ("spike press-01 temperature 0", "above 0"),
    ],
)
def test_refuses_a_fault_that_makes_no_sense(line: str, hint: str) -> None:
    with pytest.raises(InvalidInput, match=hint):
        Plant(seed=1, agents=4).inject(parse_fault(line), NOON)
