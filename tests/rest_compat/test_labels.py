"""Errors of use cases name what a client sent, not the arguments of the graph."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from graphql import GraphQLString, parse, print_ast

from core.context import Context
from core.errors import AppError, Conflict, InvalidInput, RateLimited
from fleetgraph.app import the_catalog
from rest_compat.endpoints import Endpoint, Input, Place
from rest_compat.labels import as_called, label_of, labels_of
from tests.contracts.serving import Api, sign_in
from tests.factories import make_agent

V1 = "/api/v1"
CATALOG = the_catalog()
NOUGHT = {"limit": 0}
BAD_TAG = {"tags": {"site": 5}}
PAST = "2001-01-01T00:00:00Z"
KEYLESS = {
    "uuid": "9d0b5ca5-4a33-4c5a-8d6c-0f1de2d6e0a1",
    "deviceName": "press",
    "deviceType": "standalone",
    "deviceApiKey": f"v2_9f01ab23_{'0' * 64}",
    "devicePublicKey": "none",
}

REFUSED: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("PATCH", "/agents/{agent}", {"deviceName": " "}, "deviceName", "Invalid request"),
    ("PATCH", "/agents/{agent}", {"deviceType": "x" * 101}, "deviceType", "Invalid request"),
    ("GET", "/agents", {"selector": "site ="}, "selector", "Invalid parameters"),
    ("GET", "/agents", NOUGHT, "limit", "Invalid parameters"),
    ("POST", "/agents/query", {"selector": "site ="}, "selector", "Invalid parameters"),
    ("POST", "/agents/query", NOUGHT, "limit", "Invalid parameters"),
    ("POST", "/agents/query", {"after": "x"}, "after", "Invalid parameters"),
    ("POST", "/agents/{agent}/tags", BAD_TAG, "tags.site", "Invalid tags"),
    ("PUT", "/agents/{agent}/tags", BAD_TAG, "tags.site", "Invalid tags"),
    ("POST", "/agents/tags/bulk", {"selector": "site ="}, "selector", "Invalid request"),
    ("GET", "/tags/keys", NOUGHT, "limit", "Invalid request"),
    ("GET", "/agents/{agent}/logs", NOUGHT, "limit", "Invalid limit"),
    ("GET", "/agents/{agent}/logs", {"limit": "x"}, "limit", "Invalid limit"),
    ("GET", "/agents/{agent}/logs", {"level": ",".join("x" * 99)}, "level", "Invalid parameters"),
    ("GET", "/agents/{agent}/metrics", NOUGHT, "limit", "Invalid parameters"),
    ("GET", "/readings/{agent}/timeseries", {"interval": "0s"}, "interval", "Invalid parameters"),
    ("POST", "/agents/{agent}/target-state", {"apps": 5}, "apps", "Invalid apps format"),
    ("GET", "/audit/events", NOUGHT, "limit", "Invalid parameters"),
    ("GET", "/audit/events", {"cursor": "x"}, "cursor", "Invalid parameters"),
    ("GET", "/audit/events", {"event_type": "x"}, "event_type", "Invalid parameters"),
    ("POST", "/auth/api-keys", {"name": "a", "expires_at": PAST}, "expires_at", "Bad Request"),
    ("POST", "/provision/keys", {"maxDevices": 0}, "maxDevices", "Invalid request"),
    ("GET", "/provision/keys", NOUGHT, "limit", "Invalid request"),
    ("POST", "/fleets", {"fleet_name": " "}, "fleet_name", "Invalid request"),
    ("POST", "/fleets", {"fleet_name": "a", **BAD_TAG}, "tags.site", "Invalid request"),
    ("POST", "/fleets", {"fleet_name": "a", "agent_count": 5}, "agent_count", "Invalid request"),
    ("GET", "/users", NOUGHT, "limit", "Invalid request"),
    ("POST", "/agent/register", KEYLESS, "devicePublicKey", "Invalid public key format"),
]


async def test_a_refusal_names_what_was_sent_under_the_title_of_its_endpoint(ctx: Context) -> None:
    agent = await make_agent(ctx)
    _, token = await sign_in(ctx)
    async with Api(ctx).client(authorization=token) as client:
        for method, path, sent, field, title in REFUSED:
            answer = await _sent(client, method, V1 + path.format(agent=agent.uuid), sent)
            body = answer.json()
            told = (answer.status_code, body["error"], body["facts"]["field"])
            assert told == (400, title, field), (method, path, sent)
            assert body["message"].startswith(f"{field}: "), (method, path, sent)


async def _sent(
    client: httpx.AsyncClient, method: str, path: str, sent: dict[str, Any]
) -> httpx.Response:
    if method == "GET":
        return await client.get(path, params=sent)
    return await client.request(method, path, json=sent)


async def test_a_conflict_names_what_was_sent_and_keeps_its_own_sentence(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    async with Api(ctx).client(authorization=token) as client:
        for status in (201, 409):
            answer = await client.post(f"{V1}/fleets", json={"fleet_name": "north"})
            assert answer.status_code == status
    assert answer.json()["facts"]["field"] == "fleet_name"
    assert answer.json()["message"] == "A fleet named 'north' exists already"


def _labels_of(endpoint: Endpoint) -> set[str]:
    return {item.label for item in endpoint.inputs if item.place is not Place.FIXED}


@pytest.mark.parametrize("endpoint", CATALOG.endpoints, ids=lambda each: each.name)
def test_nothing_but_inputs_is_named(endpoint: Endpoint) -> None:
    assert set(endpoint.labels.values()) <= _labels_of(endpoint)
    # A title for what nobody can send would never be told.
    assert {each.field for each in endpoint.answering.errors} - {None} <= _labels_of(endpoint)
    # Whatever fills an argument is known by the argument's whole path.
    text = print_ast(endpoint.operation.selection_set)
    filled = set(re.findall(r"\w+: \$(\w+)", text))
    told = {item.label for item in endpoint.inputs if item.name in filled}
    assert told <= set(endpoint.labels.values())


def _named(name: str) -> Endpoint:
    return next(each for each in CATALOG.endpoints if each.name == name)


@pytest.mark.parametrize(
    ("endpoint", "field", "label"),
    [
        ("UpdateAgent", "changes.name", "deviceName"),
        ("UpdateAgent", "name", "deviceName"),
        ("UpdateAgent", "deviceName", "deviceName"),
        ("UpdateAgent", "changes", "changes"),
        ("SetAgentTags", "set.site", "tags.site"),
        ("SetAgentTags", "set[3].x", "tags[3].x"),
        ("SetAgentTags", "settings", "settings"),
        ("CreateFleet", "fleet.tags.name", "tags.name"),
        ("CreateFleet", "unsupported.agentCount", "agent_count"),
        ("GetFleet", "uuid", "fleetId"),
        ("AddAgentsToFleet", "uuid", "fleetId"),
        ("AddAgentsToFleet", "select.uuid", "agent_uuid"),
        ("AddAgentsToFleet", "select.uuids[7]", "agent_uuids[7]"),
        ("UpdateFleet", "ifVersion", "If-Match"),
        ("UploadDeviceLogs", "batchId", "X-Batch-Id"),
        ("RegisterAgent", "provisioningKey[0]", "x-provisioning-key"),
        ("RegisterAgent", "provisioningKey", "provisioningKey"),
        ("ListAuditEvents", "after", "cursor"),
        ("ListAgents", "filter.activity", "filter"),
        ("ListAgents", "filter.text[0]", "text[0]"),
        ("ListAgents", "filter.other", "filter.other"),
    ],
)
def test_the_longest_known_beginning_is_replaced(endpoint: str, field: str, label: str) -> None:
    assert label_of(_named(endpoint).labels, field) == label


def test_endings_that_several_inputs_share_stand_for_none() -> None:
    document = parse("query Q { f(a: { name: $x, kind: $z }, b: { name: $y, size: $fixed }) }")
    inputs = [
        Input(name, label, place, GraphQLString, required=False)
        for name, label, place in (
            ("x", "x-header", Place.HEADER),
            ("y", "why", Place.QUERY),
            ("z", "zed", Place.QUERY),
            ("fixed", "5", Place.FIXED),
        )
    ]
    labels = labels_of(document, inputs)
    told = {field: label_of(labels, field) for field in ("name", "a.name", "b.name", "kind")}
    assert told == {"name": "name", "a.name": "x-header", "b.name": "why", "kind": "zed"}
    assert label_of(labels, "b.size") == "b.size"  # which the caller did not send
    assert label_of(labels, "x-header") == "x-header"


def test_an_error_keeps_its_class_and_its_facts() -> None:
    labels = {"name": "deviceName"}
    refused = as_called(InvalidInput("name", "name: is bad", limit=3), labels)
    assert isinstance(refused, InvalidInput)
    assert (refused.message, str(refused)) == ("deviceName: name: is bad",) * 2
    assert refused.facts == {"field": "deviceName", "reason": "name: is bad", "limit": 3}
    assert as_called(refused, labels) is refused
    taken = as_called(Conflict("Another has this name", field="name"), labels)
    assert isinstance(taken, Conflict)
    assert (taken.message, taken.facts) == ("Another has this name", {"field": "deviceName"})
    for other in (RateLimited("slow", retry_after_seconds=1), AppError("x", field=5)):
        assert as_called(other, labels) is other
