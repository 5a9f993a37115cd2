"""A real agent's recorded requests, byte for byte, get answers that it can work with.

Ours are only the parts that the recording's cloud had given out or that need the private key:
provisioning key, key pair and signature, the validator of polls, the tenant in topics.
"""

from __future__ import annotations

import gzip
import http.client
import json
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.agents import Agent, check_registration, topic_id
from tests.e2e.cloud import Cloud
from tests.e2e.recordings import facts_of, recorded, to_json, without_nested_intervals
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import until

pytestmark = pytest.mark.slow

UUID = "57086897-4d8f-45f7-82f2-54f1b71848ab"
SET_TARGET = """mutation ($agent: UUID!, $config: JSON) {
  setTargetState(agentUuid: $agent, apps: {}, config: $config) { version } }"""
STATE = """query ($agent: UUID!) { agent(uuid: $agent) {
  isOnline version currentState { version endpointsHealth } latest { metric time value } } }"""


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Replay:
    """The recorded agent over one kept-alive connection."""

    def __init__(self, cloud: Cloud, agent: Agent, provisioning_key: str) -> None:
        self._agent = agent
        self._provisioning_key = provisioning_key
        self._etag = ""
        self._where = urlsplit(cloud.url).netloc
        self._connection = http.client.HTTPConnection(self._where, timeout=30)

    def send(self, request: dict[str, Any]) -> Answer:
        body = self._body(request)
        headers = batched(request["rawHeaders"])
        if ("Content-Encoding", "gzip") in headers:
            body = gzip.compress(body)
        else:
            assert len(body) == request["bodyBytes"], "the body is as long as the recorded one"
        ours = {"host": self._where, "x-provisioning-key": self._provisioning_key}
        ours |= {"if-none-match": self._etag, "content-length": str(len(body))}
        self._connection.putrequest(
            request["method"], request["url"], skip_host=True, skip_accept_encoding=True
        )
        for name, value in headers:
            self._connection.putheader(name, ours.get(name, value))
        self._connection.endheaders(body or None)
        response = self._connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        self._etag = answer.headers.get("etag") or self._etag
        return answer

    def close(self) -> None:
        self._connection.close()

    def _body(self, request: dict[str, Any]) -> bytes:
        body = request["body"]
        if isinstance(body, str):
            return body.encode()
        if request["url"].endswith("/register"):
            body = body | {"devicePublicKey": self._agent.public_key_pem}
        if request["url"].endswith("/key-exchange"):
            challenge = self._agent.registration["challenge"]
            body = body | {"signature": self._agent.signature(challenge)}
        return to_json(body)


def batched(raw: list[str]) -> list[tuple[str, str]]:
    """Return raw headers as pairs, in order."""
    return list(zip(raw[::2], raw[1::2], strict=True))


async def test_every_recorded_request_is_answered_sufficiently(cloud: Cloud) -> None:
    requests, publishes = recorded("http.jsonl"), recorded("mqtt.jsonl")
    agent = Agent(cloud.url, UUID)
    agent.device_key = requests[0]["body"]["deviceApiKey"]
    replay = Replay(cloud, agent, await cloud.provisioning_key(agents_max=1))
    mqtt: MqttClient | None = None
    try:
        for step in sorted(requests + publishes, key=itemgetter("t")):
            if "topic" in step:
                mqtt = mqtt or await agent.connect()
                await publish(mqtt, agent, step)
                continue
            check(step, replay.send(step), agent)
            if step["url"].endswith("/key-exchange"):
                config = requests[2]["resp"][UUID]["config"]
                await cloud.ask(SET_TARGET, agent=UUID, config=config)
        await check_what_is_known(cloud, publishes, requests)
    finally:
        if mqtt:
            await mqtt.close()
        replay.close()
        await agent.close()


def check(request: dict[str, Any], answer: Answer, agent: Agent) -> None:
    """Check an answer against what agent-wire.md calls sufficient (§2.2, §2.3, §3.2, §4.1, §9)."""
    what = request["url"].rpartition("/")[2]
    if request["status"] == 304:
        assert answer.status == 304
        assert not answer.body
        return
    assert answer.is_success, (request["url"], answer.status, answer.body)
    body = json.loads(answer.body)
    if what == "register":
        agent.registration = body
        check_registration(body)
    elif request["method"] == "GET":
        recorded_target = request["resp"][UUID]
        assert answer.headers["etag"].startswith('"')
        assert body[UUID]["apps"] == {}
        assert without_nested_intervals(body[UUID]["config"]) == recorded_target["config"]
        assert body[UUID]["version"] == recorded_target["version"]
    elif what == "logs":
        assert body["batchId"] == dict(batched(request["rawHeaders"]))["X-Batch-Id"]


async def publish(mqtt: MqttClient, agent: Agent, step: dict[str, Any]) -> None:
    _, tenant, _, segment, *channel = step["topic"].split("/")
    assert segment == topic_id(UUID)
    assert topic_id("a1b2c3d4e5f6") == tenant
    payload = to_json(step["json"])
    assert (len(payload), payload[:8].hex()) == (step["bytes"], step["first8"])
    topic = "/".join((agent.topic_prefix, *channel))
    await mqtt.publish(topic, payload, qos=step["qos"], retain=step["retain"])


async def check_what_is_known(
    cloud: Cloud, publishes: list[dict[str, Any]], requests: list[dict[str, Any]]
) -> None:
    """Check that nothing was only acknowledged."""
    telemetry = publishes[-1]["json"]
    async with cloud.database() as connection:
        id_ = await connection.fetchval("select id from agent where uuid = $1", UUID)

        async def stored() -> bool:
            count = "select count(*) from reading_hot where agent_id = $1"
            return bool(await connection.fetchval(count, id_) == len(facts_of(telemetry)))

        await until(stored, "all recorded readings are stored")
        logs = await connection.fetchval("select count(*) from device_log where agent_id = $1", id_)
        letters = "select count(*) from dead_letter where agent_id = $1"
        assert not await connection.fetchval(letters, id_)
    sent = [r["body"] for r in requests if r["url"].endswith("/logs")]
    assert logs == sum(len(body.splitlines()) for body in sent)

    async def last_report_counts() -> dict[str, Any] | None:
        seen: dict[str, Any] = (await cloud.ask(STATE, agent=UUID))["agent"]
        health = seen["currentState"]["endpointsHealth"]
        return seen if seen["isOnline"] and health["plc_demo"]["status"] == "online" else None

    seen = await until(last_report_counts, "the last report counts")
    assert seen["version"] == "1.0.547"
    # The recording goes over a restart, after which an agent says 1 until its first poll.
    assert seen["currentState"]["version"] == 1
    assert len(seen["latest"]) == 3
