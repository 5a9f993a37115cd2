"""Which broker: one named by the settings, or the embedded one; and who we are there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from core.broker_accounts import BrokerAccount, hash_broker_password
from core.derived_secrets import DerivedSecrets
from core.gateways import BrokerDriver, NoBrokerDriver
from core.policy import BrokerAddress
from fleetgraph.broker_files import BrokerFiles
from fleetgraph.embedded.ports import dial_host, find_free_port
from fleetgraph.embedded.tls import TlsListener
from fleetgraph.settings import BadSettings, Settings
from fleetgraph.urls import BrokerUrl
from workers.mqtt import BrokerEndpoint

PLATFORM_USER = "fleetgraph"
_PORT = 1883
_CLIENT_ID_CHARS = 16


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """How we and the agents reach the broker, decided before anything is opened.

    Attributes:
        former_client_id: under which earlier releases received: the broker may still have a queue.
    """

    endpoint: BrokerEndpoint
    address: BrokerAddress
    platform: BrokerAccount
    former_client_id: str
    is_embedded: bool


def external_plan(settings: Settings, secrets: DerivedSecrets | None = None) -> BrokerPlan:
    """Return the plan for the broker that `mqtt.url` names; `secrets` are for whoever connects."""
    mqtt = settings.mqtt
    assert mqtt.url is not None
    url = BrokerUrl.parse(mqtt.url.get_secret_value())
    ca_cert = mqtt.ca_file.read_text(encoding="ascii") if mqtt.ca_file else None
    endpoint = BrokerEndpoint(
        host=url.host,
        port=url.port,
        username=url.username,
        password=url.password,
        client_id=_client_id(settings, secrets) if secrets else mqtt.client_id,
        tls=url.tls,
        ca_cert=ca_cert,
        mqtt5=mqtt.version == "5",
    )
    address = BrokerAddress(
        protocol=mqtt.public_protocol or ("mqtts" if url.tls else "mqtt"),
        host=mqtt.public_host or url.host,
        port=mqtt.public_port or url.port,
        ca_cert=ca_cert,
    )
    account = _platform_account(url.username, url.password)
    return BrokerPlan(endpoint, address, account, mqtt.client_id, is_embedded=False)


def embedded_plan(settings: Settings, secrets: DerivedSecrets) -> BrokerPlan:
    """Return the plan for a broker of our own on the asked port, or the next free one."""
    mqtt = settings.mqtt
    port = mqtt.port or find_free_port(mqtt.host, _PORT)
    password = secrets.derive("mqtt-platform")
    endpoint = BrokerEndpoint(
        host=dial_host(mqtt.host),
        port=port,
        username=PLATFORM_USER,
        password=password,
        client_id=_client_id(settings, secrets),
    )
    tls = embedded_tls(settings)
    address = BrokerAddress(
        protocol=mqtt.public_protocol or ("mqtts" if tls else "mqtt"),
        host=mqtt.public_host,
        port=mqtt.public_port or (tls.port if tls else port),
        ca_cert=tls.ca_cert() if tls else None,
    )
    account = _platform_account(PLATFORM_USER, password)
    return BrokerPlan(endpoint, address, account, mqtt.client_id, is_embedded=True)


def embedded_tls(settings: Settings) -> TlsListener | None:
    """Return the embedded broker's TLS listener, or None; raises BadSettings without a folder."""
    mqtt = settings.mqtt
    if mqtt.tls_port is None:
        return None
    if mqtt.tls_dir is None:
        raise BadSettings(["FLEETGRAPH_MQTT_TLS_DIR: needed with FLEETGRAPH_MQTT_TLS_PORT"])
    return TlsListener(mqtt.tls_host or mqtt.host, mqtt.tls_port, mqtt.tls_dir, mqtt.client_ca_file)


def platform_usernames(settings: Settings) -> frozenset[str]:
    """Return the names under which we log in to brokers, which nobody else may have."""
    url = settings.mqtt.url
    named = [] if url is None else [BrokerUrl.parse(url.get_secret_value()).username]
    return frozenset({PLATFORM_USER, *named})


def external_driver(settings: Settings) -> BrokerDriver:
    """Return what keeps an external broker's accounts: files, or nobody of ours."""
    folder = settings.mqtt.accounts_dir
    return NoBrokerDriver() if folder is None else BrokerFiles(Path(folder))


def _client_id(settings: Settings, secrets: DerivedSecrets) -> str:
    """Return a client id that no agent can guess: whoever connects with it would take our queue."""
    return f"{settings.mqtt.client_id}-{secrets.derive('mqtt-client-id')[:_CLIENT_ID_CHARS]}"


def _platform_account(username: str, password: str) -> BrokerAccount:
    """Return our own account: the same in every program, so that none rewrites another's files."""
    # More rounds than the hash itself has: the salt must not be the easier way to the password.
    salt = hashlib.pbkdf2_hmac("sha512", password.encode(), username.encode(), 1_000, 12)
    return BrokerAccount(username, hash_broker_password(password, salt), is_platform=True)
