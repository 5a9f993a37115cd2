"""How agents are told to reach the broker, by what the settings say of TLS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from core.clock import SystemClock
from core.derived_secrets import DerivedSecrets
from core.policy import BrokerAddress
from fleetgraph.agent_settings import MqttSettings
from fleetgraph.brokers import BrokerPlan, embedded_plan, embedded_tls, external_plan
from fleetgraph.certificates import make_server
from fleetgraph.settings import BadSettings, Settings


def settings(**mqtt: Any) -> Settings:
    return Settings.model_construct(mqtt=MqttSettings(**mqtt))


def embedded(**mqtt: Any) -> BrokerPlan:
    return embedded_plan(settings(port=18831, **mqtt), DerivedSecrets("x" * 32))


def external(url: str, **mqtt: Any) -> BrokerPlan:
    return external_plan(settings(url=SecretStr(url), **mqtt))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_server(tmp_path, [], SystemClock().now())
    return tmp_path


def test_without_tls_agents_come_in_plain() -> None:
    assert embedded().address == BrokerAddress("mqtt", "", 18831, None)
    assert embedded_tls(settings()) is None


def test_with_tls_agents_get_port_and_authority_and_we_stay_on_the_plain_one(folder: Path) -> None:
    plan = embedded(tls_port=18883, tls_dir=folder)
    assert plan.address == BrokerAddress("mqtts", "", 18883, (folder / "ca.pem").read_text())
    assert (plan.endpoint.port, plan.endpoint.tls) == (18831, False)
    (folder / "ca.pem").unlink()
    assert embedded(tls_port=18883, tls_dir=folder).address.ca_cert is None


def test_what_agents_are_told_can_be_said_otherwise(folder: Path) -> None:
    plan = embedded(
        tls_port=18883,
        tls_dir=folder,
        public_protocol="wss",
        public_host="broker.example.com",
        public_port=443,
    )
    assert (plan.address.protocol, plan.address.host, plan.address.port) == (
        *("wss", "broker.example.com", 443),
    )


def test_the_tls_listener_is_where_it_is_said_to_be(folder: Path) -> None:
    for given, host in ({}, "127.0.0.1"), ({"tls_host": "0.0.0.0"}, "0.0.0.0"):
        found = embedded_tls(
            settings(tls_port=18883, tls_dir=folder, client_ca_file=folder / "ca.pem", **given)
        )
        assert found is not None
        assert (found.host, found.port, found.folder) == (host, 18883, folder)
        assert found.client_ca_file == folder / "ca.pem"


def test_a_tls_port_needs_certificates() -> None:
    with pytest.raises(BadSettings, match="FLEETGRAPH_MQTT_TLS_DIR"):
        embedded(tls_port=18883)


def test_a_broker_elsewhere_is_told_as_we_reach_it(folder: Path) -> None:
    plan = external("mqtts://u:p@broker", ca_file=folder / "ca.pem")
    ca_cert = (folder / "ca.pem").read_text()
    assert plan.address == BrokerAddress("mqtts", "broker", 8883, ca_cert)
    assert (plan.endpoint.tls, plan.endpoint.ca_cert) == (True, ca_cert)
    assert external("mqtt://u:p@broker").address == BrokerAddress("mqtt", "broker", 1883, None)
    assert external("mqtts://u:p@broker", public_protocol="mqtt").address.protocol == "mqtt"


def test_we_receive_under_a_secret_client_id_and_know_the_former_one() -> None:
    for plan in (
        embedded(client_id="line-4"),
        external_plan(
            settings(url=SecretStr("mqtt://u:p@broker"), client_id="line-4"),
            DerivedSecrets("x" * 32),
        ),
    ):
        assert plan.former_client_id == "line-4"
        assert re.fullmatch(r"line-4-.{16}", plan.endpoint.client_id)
