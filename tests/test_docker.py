"""Dockerfile and docker-compose.yml, as far as they can be judged without an engine."""

from __future__ import annotations

import asyncio
import fnmatch
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.broker_accounts import BrokerAccount, hash_broker_password, render_password_file
from core.clock import SystemClock
from fleetgraph.broker_files import BrokerFiles
from fleetgraph.brokers import external_driver, external_plan
from fleetgraph.certificates import make_server
from fleetgraph.cli import parser
from fleetgraph.embedded.mosquitto import _CONFIG as EMBEDDED_CONFIG
from fleetgraph.embedded.ports import find_free_port
from fleetgraph.settings import load_settings, variables
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import require_program, until

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
TLS = ("listener 8883", "certfile /run/broker/server.pem", "keyfile /run/broker/server.key")
AGENT = "AAAAAAAAAAAAAAAAAAAAAA/a/1111111111111111111111"


def instructions(name: str) -> list[str]:
    whole = DOCKERFILE.replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in whole.splitlines() if line.startswith(f"{name} ")]


# The image -----------------------------------------------------------------------------------


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    rules = [
        r for r in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if r and r[0] != "#"
    ]
    copied = [
        source
        for line in instructions("COPY")
        if "--from=" not in line
        for source in line.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists()
        ignored = False
        for rule in rules:
            if fnmatch.fnmatch(source, rule.removeprefix("!")):
                ignored = not rule.startswith("!")
        assert not ignored, source


def test_every_package_is_copied() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    copied = {line.split()[0] for line in instructions("COPY")}
    assert set(packages) <= copied
    assert project["project"]["readme"] in " ".join(instructions("COPY"))


def test_the_image_runs_as_nobody_in_particular() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (?!root)", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    assert "curl" not in last


def test_the_health_check_asks_what_the_api_answers() -> None:
    assert "/health" in " ".join(instructions("HEALTHCHECK"))
    (command,) = instructions("CMD")
    parser().parse_args(yaml.safe_load(command))


def images() -> list[str]:
    built = {service.get("image") for service in SERVICES.values() if "build" in service}
    named = [line.split()[0] for line in instructions("FROM")]
    named += [service["image"] for service in SERVICES.values()]
    return sorted(set(named) - built)


@pytest.mark.parametrize("image", images())
def test_images_are_pinned_to_a_major_version(image: str) -> None:
    assert re.fullmatch(r"[\w./-]+:\d[\w.-]*", image)


# The installation ----------------------------------------------------------------------------


def environment(service: str) -> dict[str, str]:
    return dict(SERVICES[service].get("environment", {}))


def filled(text: str) -> str:
    """Put a value where compose takes one from `.env`."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda m: f"{m[1].lower()}{'x' * 40}", text)


def test_variables_are_settings() -> None:
    named = {name for service in SERVICES for name in environment(service)}
    ours = {name for name in named if name.startswith("FLEETGRAPH_")}
    assert len(ours) > 5
    assert ours <= set(variables())
    assert set(re.findall(r"\bFLEETGRAPH_\w+", DOCKERFILE)) <= set(variables())


def test_every_secret_must_be_set_and_is_told_of() -> None:
    asked = re.findall(r"\$\{([^}]+)\}", COMPOSE_TEXT)
    assert asked
    for each in asked:
        name, separator, sentence = each.partition(":?")
        assert separator
        assert name in sentence
        assert re.search(rf"^# .*\b{name}=", COMPOSE_TEXT, re.MULTILINE)


@pytest.mark.parametrize("service", ["api", "worker"])
def test_the_settings_of_a_service_are_good(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(service).items():
        monkeypatch.setenv(name, filled(value))
    settings = load_settings()
    plan = external_plan(settings)
    assert plan.endpoint.host in SERVICES
    assert plan.address.host.startswith("fleetgraph_mqtt_public_host")
    assert plan.address.port == 1883
    assert settings.database.url
    assert "@postgres:5432/" in settings.database.url.get_secret_value()
    assert settings.redis.url
    parser().parse_args(SERVICES[service]["command"])
    assert isinstance(external_driver(settings), BrokerFiles) is (service == "worker")


def test_volumes_are_declared_and_used() -> None:
    used = {
        str(volume).split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }
    assert used == set(COMPOSE["volumes"])


def test_services_wait_for_services_that_tell_their_health() -> None:
    for service in SERVICES.values():
        for name, wait in service.get("depends_on", {}).items():
            assert wait["condition"] != "service_healthy" or "test" in SERVICES[name]["healthcheck"]


def test_the_broker_is_configured_as_the_embedded_one() -> None:
    def options(text: str) -> dict[str, str]:
        pairs = (line.partition(" ") for line in text.splitlines() if line and line[0] != "#")
        different = {"listener", "password_file", "acl_file", "persistence_location", "log_type"}
        return {name: value for name, _, value in pairs if name not in different}

    theirs = options(COMPOSE["configs"]["mosquitto"]["content"])
    assert theirs == {k: v for k, v in options(EMBEDDED_CONFIG).items() if k != "sys_interval"}


# Its broker, really run ------------------------------------------------------------------------


class Broker:
    """The broker of docker-compose.yml with the folders and the port of a test."""

    def __init__(self, folder: Path) -> None:
        self.port = find_free_port("127.0.0.1", 22100)
        self.tls_port = find_free_port("127.0.0.1", 22200)
        self.certificates = folder / "certificates"
        make_server(self.certificates, [], SystemClock().now())
        self.accounts = folder / "accounts"
        self.copy = folder / "broker"
        for name in ("accounts", "data", "broker"):
            (folder / name).mkdir()
            (folder / name).chmod(0o755)
        config = COMPOSE["configs"]["mosquitto"]["content"]
        config = config.replace("listener 1883", f"listener {self.port} 127.0.0.1")
        for line in TLS:  # as whoever follows docs/broker.md does
            assert f"# {line}" in config
            config = config.replace(f"# {line}", line)
        config = config.replace("listener 8883", f"listener {self.tls_port} 127.0.0.1")
        (folder / "mosquitto.conf").write_text(self._here(config, folder))
        script = self._here(SERVICES["mosquitto"]["command"][2], folder).replace("$$", "$")
        self.process = subprocess.Popen(["sh", "-c", script], stderr=subprocess.DEVNULL)

    @staticmethod
    def _here(text: str, folder: Path) -> str:
        for theirs, ours in (
            ("/run/broker", "broker"),
            ("/mosquitto/data", "data"),
            ("/accounts", "accounts"),
            ("/certificates", "certificates"),
            ("/mosquitto.conf", "mosquitto.conf"),
        ):
            text = text.replace(theirs, str(folder / ours))
        return text

    async def lets_in(self, username: str) -> bool:
        client = MqttClient(self.port, f"probe-{username[-4:]}", username, f"pw-{username}")
        try:
            welcome = await client.connect() == 0
        except OSError:
            return False
        if welcome:
            await client.close()
        return welcome

    async def until(self, username: str, *, welcome: bool) -> None:
        async with asyncio.timeout(15):
            while await self.lets_in(username) is not welcome:  # noqa: ASYNC110 - only trying tells
                await asyncio.sleep(0.05)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/local/sbin", prepend=":")
    require_program("mosquitto")
    # pytest's own folders are closed to the account that Mosquitto changes to.
    folder = Path(tempfile.mkdtemp(prefix="fleetgraph-test-"))
    folder.chmod(0o755)
    running = Broker(folder)
    yield running
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(10)
    shutil.rmtree(folder)


def account(username: str, *, is_platform: bool = False) -> BrokerAccount:
    return BrokerAccount(username, hash_broker_password(f"pw-{username}"), is_platform)


@pytest.mark.slow
async def test_the_broker_obeys_the_files_of_the_worker(broker: Broker) -> None:
    driver = BrokerFiles(broker.accounts)
    platform = account("fleetgraph", is_platform=True)
    await asyncio.sleep(0.2)
    assert broker.process.poll() is None, "it waits for its first accounts"

    await driver.apply([platform])
    await broker.until("fleetgraph", welcome=True)
    assert not await broker.lets_in(AGENT)

    staying = MqttClient(broker.port, "staying", "fleetgraph", "pw-fleetgraph")
    assert await staying.connect() == 0
    assert await staying.subscribe("i/#") == 1
    await driver.apply([platform, account(AGENT)])
    await broker.until(AGENT, welcome=True)

    agent = MqttClient(broker.port, "agent", AGENT, f"pw-{AGENT}")
    assert await agent.connect() == 0
    await agent.publish("i/other/state", b"forbidden")
    await agent.publish(f"i/{AGENT}/state", b"allowed")
    await staying.heard(f"i/{AGENT}/state")
    assert [message.payload for message in staying.messages] == [b"allowed"]

    await driver.apply([platform])
    await broker.until(AGENT, welcome=False)
    assert not staying.closed.is_set(), "nobody else is disturbed"
    await agent.close(politely=False)
    await staying.close()


@pytest.mark.slow
async def test_the_broker_takes_up_a_renewed_certificate(broker: Broker) -> None:
    await BrokerFiles(broker.accounts).apply([account("fleetgraph", is_platform=True)])
    await broker.until("fleetgraph", welcome=True)

    async def serial() -> str:
        context = ssl.create_default_context(cafile=broker.certificates / "ca.pem")
        _, writer = await asyncio.open_connection("127.0.0.1", broker.tls_port, ssl=context)
        found: str = writer.get_extra_info("peercert")["serialNumber"]
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return found

    before = await serial()
    make_server(broker.certificates, [], SystemClock().now())
    async with asyncio.timeout(15):
        while True:
            with suppress(OSError):  # for a second the certificate and its key may be two
                if await serial() != before:
                    break
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_the_broker_mends_its_own_copy(broker: Broker) -> None:
    """The container's copy is edited, lost, and given to somebody else: it takes the right one."""
    platform, agent = account("fleetgraph", is_platform=True), account(AGENT)
    await BrokerFiles(broker.accounts).apply([platform, agent])
    await broker.until(AGENT, welcome=True)
    intruder = AGENT.replace("1", "2")
    (broker.copy / "passwords").write_text(render_password_file([platform, account(intruder)]))
    (broker.copy / "acl").unlink()
    names = ("passwords", "acl")

    def mended() -> bool:
        ours, theirs = broker.accounts, broker.copy
        return all(
            (theirs / name).exists() and (theirs / name).read_text() == (ours / name).read_text()
            for name in names
        )

    await until(mended, "the right copy", seconds=10)
    await broker.until(AGENT, welcome=True)
    await broker.until(intruder, welcome=False)


@pytest.mark.slow
async def test_the_broker_ends_when_told_to(broker: Broker) -> None:
    await BrokerFiles(broker.accounts).apply([account("fleetgraph", is_platform=True)])
    await broker.until("fleetgraph", welcome=True)
    broker.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(broker.process.wait, 5) == 0
    assert (broker.accounts.parent / "data" / "mosquitto.db").exists(), "it saved its queues first"
