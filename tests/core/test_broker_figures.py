from __future__ import annotations

from core.broker_figures import BrokerFigures, SysTopics

MOSQUITTO = {
    "version": b"mosquitto version 2.0.11",
    "uptime": b"41 seconds",
    "clients/connected": b"3",
    "store/messages/count": b"57",
    "retained messages/count": b"52",
    "publish/messages/dropped": b"1",
    "bytes/received": b"9000000000",
}
AMQTT = {
    "uptime": b"41",
    "clients/connected": b"3",
    "messages/inflight/stored": b"57",
    "messages/retained/count": b"52",
    "messages/inflight": b"2",
    "load/bytes/received": b"9000000000",
}


def told(topics: dict[str, bytes]) -> SysTopics:
    sys = SysTopics()
    for topic, payload in topics.items():
        sys.note(f"$SYS/broker/{topic}", payload)
    return sys


def test_reads_what_mosquitto_calls_its_figures() -> None:
    assert told(MOSQUITTO).figures(0.0) == BrokerFigures(
        version="mosquitto version 2.0.11",
        uptime_seconds=41,
        clients_connected=3,
        messages_stored=57,
        messages_retained=52,
        messages_queued=5,
        publish_dropped=1,
        bytes_received=9_000_000_000,
    )


def test_reads_what_amqtt_calls_its_figures() -> None:
    assert told(AMQTT).figures(0.0) == BrokerFigures(
        uptime_seconds=41,
        clients_connected=3,
        messages_stored=57,
        messages_retained=52,
        messages_queued=5,
        messages_inflight=2,
        bytes_received=9_000_000_000,
    )


def test_passes_over_what_is_no_figure() -> None:
    sys = told({"load/bytes/received/1min": b"7", "heap/current": b"8", "clients/total": b"many"})
    assert sys.is_empty
    sys.note("i/x/a/y/state", b"1")
    assert sys.is_empty
    sys.note("$SYS/broker/version", b"\xff" * 1_000)
    assert len(sys.figures(0.0).version or "") == 100


def test_rates_are_over_the_last_minute() -> None:
    sys = SysTopics()
    rates = []
    for turn in range(13):
        # 10 per second for a minute, then 20.
        count = turn * 100 if turn <= 6 else 600 + (turn - 6) * 200
        sys.note("$SYS/broker/messages/received", str(count).encode())
        rates.append(sys.figures(turn * 10.0).messages_received_rate)
    assert rates[0] is None
    assert rates[1] == rates[6] == 10.0
    assert rates[9] == 15.0
    assert rates[12] == 20.0


def test_a_counter_that_starts_over_makes_no_rate_below_zero() -> None:
    sys = told({"messages/received": b"1000", "bytes/received": b"1000"})
    sys.figures(0.0)
    sys.note("$SYS/broker/messages/received", b"10")
    assert sys.figures(10.0).messages_received_rate is None
    sys.note("$SYS/broker/messages/received", b"60")
    assert sys.figures(20.0).messages_received_rate == 5.0


def test_forgets_a_broker_that_went_away() -> None:
    sys = told(MOSQUITTO)
    sys.figures(0.0)
    sys.forget()
    assert sys.is_empty
    assert sys.figures(10.0) == BrokerFigures()


def test_figures_of_another_version_of_the_program_are_read() -> None:
    assert BrokerFigures.of({"clients_total": 4, "gone": 1}) == BrokerFigures(clients_total=4)
