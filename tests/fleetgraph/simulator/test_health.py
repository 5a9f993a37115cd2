from fleetgraph.simulator.health import CloudHealth


def test_one_failure_of_each_kind_is_not_two_in_a_row() -> None:
    health = CloudHealth()
    health.poll_failed()
    health.report_failed()
    health.poll_succeeded()
    health.poll_failed()
    assert not health.is_muted


def test_two_failed_polls_mute_and_a_good_one_does_not_heal() -> None:
    health = CloudHealth()
    health.poll_failed()
    health.poll_failed()
    assert health.is_muted
    health.poll_succeeded()
    assert health.is_muted


def test_three_failed_polls_alone_are_healed_by_a_good_one() -> None:
    health = CloudHealth()
    for _ in range(3):
        health.poll_failed()
    health.poll_succeeded()
    assert not health.is_muted


def test_failed_reports_are_healed_by_a_new_session_only() -> None:
    health = CloudHealth()
    health.report_failed()
    health.report_failed()
    for _ in range(3):
        health.poll_failed()
    health.poll_succeeded()
    assert health.is_muted
    health.session_renewed()
    assert not health.is_muted
