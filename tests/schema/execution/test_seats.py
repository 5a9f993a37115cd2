"""What waits for a slow member, what it is told, and when it is cut."""

from __future__ import annotations

import asyncio

import orjson
from hypothesis import given
from hypothesis import strategies as st

from schema.execution.seats import KEYS_FACTOR, TOO_MANY_WAIT, TOO_SLOW, Frame, Seat, SlowWatch
from tests.schema.execution.members import Recorder, until


def frame(data: object, **extensions: object) -> Frame:
    body = {"data": data} | ({"extensions": extensions} if extensions else {})
    return Frame(orjson.dumps(body), bool(extensions))


def seat_of(member: Recorder, *, queue_events: int = 10, slow_seconds: float = 60) -> Seat:
    return Seat(member, SlowWatch(slow_seconds), queue_events)


async def test_a_slow_member_gets_the_latest_of_each_key_and_the_number_of_the_others() -> None:
    member = Recorder()
    seat = seat_of(member)
    member.is_awake = False
    for n in range(5):
        seat.deliver("a", frame(["a", n]))
    seat.deliver("b", frame(["b", 0]))
    seat.deliver("a", frame(["a", 5]))
    assert member.payloads == []
    member.is_awake = True
    seat.flush()
    assert member.answers == [
        {"data": ["b", 0], "extensions": {"dropped": 5}},
        {"data": ["a", 5]},
    ]
    seat.deliver("a", frame(["a", 6]))
    assert member.answers[-1] == {"data": ["a", 6]}


async def test_a_slow_member_of_too_many_series_is_cut() -> None:
    member = Recorder()
    seat = seat_of(member, queue_events=2)
    member.is_awake = False
    for key in range(2 * KEYS_FACTOR):
        seat.deliver(key, frame(key))
    seat.deliver(0, frame("newer"))
    assert member.ends == []
    seat.deliver(-1, frame("one too many"))
    assert member.ends == [TOO_MANY_WAIT]


async def test_what_was_dropped_is_told_beside_other_extensions() -> None:
    member = Recorder()
    seat = seat_of(member)
    member.is_awake = False
    seat.deliver(1, frame(1))
    seat.deliver(1, frame(2, cost={"requested": 3}))
    member.is_awake = True
    seat.flush()
    (answer,) = member.answers
    assert answer == {"data": 2, "extensions": {"cost": {"requested": 3}, "dropped": 1}}


async def test_what_must_not_be_lost_waits_in_order_and_then_the_member_is_cut() -> None:
    member = Recorder()
    seat = seat_of(member, queue_events=3)
    member.is_awake = False
    for n in range(3):
        seat.deliver(None, frame(n))
    member.is_awake = True
    seat.flush()
    assert member.answers == [{"data": n} for n in range(3)]
    member.is_awake = False
    for n in range(3):
        seat.deliver(None, frame(n))
    assert member.ends == []
    seat.deliver(None, frame(3))
    assert member.ends == [TOO_MANY_WAIT]
    member.is_awake = True
    seat.flush()
    seat.deliver(None, frame(9))
    assert len(member.payloads) == 3


async def test_a_member_that_takes_nothing_for_long_is_cut_and_one_that_takes_little_is_not() -> (
    None
):
    watch = SlowWatch(0.2)
    stuck, slow = Recorder(), Recorder()
    seats = [Seat(stuck, watch, 100), Seat(slow, watch, 100)]
    stuck.is_awake = False
    slow.room = 0
    for n in range(20):
        for seat in seats:
            seat.deliver(n, frame(n))
    while not stuck.ends:
        slow.room = 1
        seats[1].flush()
        await asyncio.sleep(0.05)
        if len(slow.payloads) > 15:
            break
    assert stuck.ends == [TOO_SLOW]
    assert stuck.payloads == []
    assert slow.ends == []
    seats[1].leave()
    assert watch._timer is None


async def test_the_last_answer_comes_after_what_waits_and_before_the_end() -> None:
    member = Recorder()
    seat = seat_of(member, queue_events=1)
    member.is_awake = False
    seat.deliver(None, frame(1))
    seat.finish(frame("last"))
    assert member.ends == []
    member.is_awake = True
    seat.flush()
    assert member.answers == [{"data": 1}, {"data": "last"}]
    assert member.ends == ["complete"]


async def test_a_member_that_is_ready_without_saying_so_is_found() -> None:
    member = Recorder()
    seat = seat_of(member, slow_seconds=0.4)
    member.is_awake = False
    seat.deliver(None, frame(1))
    member.is_awake = True
    await until(lambda: len(member.payloads) == 1)
    seat.leave()


async def test_a_member_that_has_just_woken_is_not_cut() -> None:
    member, watch = Recorder(), SlowWatch(0.2)
    seat = Seat(member, watch, 10)
    member.is_awake = False
    waiting = asyncio.create_task(seat.ready())
    await asyncio.sleep(0)
    seat.slow_since -= 1
    member.is_awake = True
    seat.flush()
    watch._sweep()
    await waiting
    assert member.ends == []
    assert seat.is_clear


ACTIONS = st.lists(
    st.one_of(st.integers(0, 3), st.sampled_from(["sleep", "wake", "sip"])), max_size=60
)


@given(ACTIONS)
def test_the_newest_of_each_key_arrives_and_every_other_is_counted(
    actions: list[int | str],
) -> None:
    async def run() -> None:
        member = Recorder()
        seat = seat_of(member)
        sent: list[tuple[int, int]] = []
        for at, action in enumerate(actions):
            if action == "sleep":
                member.is_awake = False
            elif action == "wake":
                member.is_awake, member.room = True, None
                seat.flush()
            elif action == "sip":
                member.is_awake, member.room = True, 1
                seat.flush()
            else:
                assert isinstance(action, int)
                sent.append((action, at))
                seat.deliver(action, frame([action, at]))
        member.is_awake, member.room = True, None
        seat.flush()
        got = [tuple(answer["data"]) for answer in member.answers]
        dropped = sum(a.get("extensions", {}).get("dropped", 0) for a in member.answers)
        assert len(got) + dropped == len(sent)
        assert len(set(got)) == len(got)
        for key in {key for key, _ in sent}:
            mine = [each for each in got if each[0] == key]
            assert mine == sorted(mine)
            assert mine[-1] == [each for each in sent if each[0] == key][-1]

    asyncio.run(run())
