"""Who the platform is on the broker: equal in every program, and not to be guessed."""

from __future__ import annotations

from core.broker_accounts import verify_broker_password
from core.derived_secrets import DerivedSecrets
from fleetgraph.brokers import embedded_plan, external_plan
from fleetgraph.settings import Settings

OURS, THEIRS = (DerivedSecrets(letter * 32) for letter in "ab")
EXTERNAL = Settings.model_validate({"mqtt": {"url": "mqtt://platform:a-password@broker:1883"}})
EMBEDDED = Settings.model_validate({"mqtt": {"port": 18_830}})


def test_every_program_makes_the_same_line_of_the_platforms_account() -> None:
    """Otherwise two that share a folder would rewrite each other's files for ever."""
    for plans in (
        [external_plan(EXTERNAL, OURS) for _ in range(2)],
        [embedded_plan(EMBEDDED, OURS) for _ in range(2)],
    ):
        one, two = (plan.platform for plan in plans)
        assert one == two
        assert verify_broker_password(plans[0].endpoint.password, one.password_hash)
    other = Settings.model_validate({"mqtt": {"url": "mqtt://platform:another@broker:1883"}})
    salts = {external_plan(each).platform.password_hash.split("$")[3] for each in (EXTERNAL, other)}
    assert len(salts) == 2


def test_nobody_guesses_the_client_id_whose_queue_the_broker_keeps() -> None:
    ids = [
        external_plan(EXTERNAL, OURS).endpoint.client_id,
        external_plan(EXTERNAL, OURS).endpoint.client_id,
        embedded_plan(EMBEDDED, OURS).endpoint.client_id,
        external_plan(EXTERNAL, THEIRS).endpoint.client_id,
    ]
    assert ids[0] == ids[1] == ids[2]
    assert ids[0] != ids[3]
    for each in ids:
        name, _, secret = each.rpartition("fleetgraph-ingest-")
        assert (name, len(secret)) == ("", 16)
