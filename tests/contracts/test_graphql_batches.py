"""Several operations in one POST, where a setting allows it; and documents that alone may run."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from core.context import Context
from fleetgraph.graphql import batches
from fleetgraph.settings import BadSettings
from schema.execution.requests import Answer, GraphQLRequest
from tests.contracts.serving import Api, sign_in

RESPONSE = "application/graphql-response+json"
TYPENAME = "{ __typename }"


async def ask(api: Api, body: object, **headers: str) -> tuple[int, Any]:
    async with api.client(accept=RESPONSE, **headers) as client:
        answer = await client.post("/graphql", json=body)
    return answer.status_code, answer.json()


async def test_batches_are_refused_unless_allowed(ctx: Context) -> None:
    status, body = await ask(Api(ctx), [{"query": TYPENAME}])
    assert status == 400
    assert "graphql.batch_max is 1" in body["errors"][0]["message"]


async def test_each_operation_of_a_batch_has_its_answer(ctx: Context) -> None:
    user, token = await sign_in(ctx)
    members = [
        {"query": "{ me { username } }"},
        {"query": "{ nonsense }"},
        {"query": "subscription { agentChanged { name } }"},
        {"query": TYPENAME},
    ]
    status, body = await ask(Api(ctx, batch_max=4), members, authorization=token)
    assert status == 200
    assert body[0]["data"] == {"me": {"username": user.username}}
    assert "data" not in body[1]
    assert "subscriptions" in body[2]["errors"][0]["message"]
    assert body[3]["data"] == {"__typename": "Query"}


@pytest.mark.parametrize("count", [0, 3])
async def test_a_batch_has_bounds(ctx: Context, count: int) -> None:
    status, body = await ask(Api(ctx, batch_max=2), [{"query": TYPENAME}] * count)
    assert status == 400
    assert "1 to 2 operations" in body["errors"][0]["message"]


async def test_a_member_that_is_no_request_is_named(ctx: Context) -> None:
    status, body = await ask(Api(ctx, batch_max=2), [{"query": TYPENAME}, {"query": 5}])
    assert status == 400
    assert body["errors"][0]["extensions"]["field"] == "[1].query"


async def test_only_so_many_run_at_a_time() -> None:
    running, most = 0, 0

    async def run(request: GraphQLRequest) -> Answer:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return Answer({"query": request.query})

    requests = [GraphQLRequest(str(number)) for number in range(20)]
    answers = await batches.run_all(requests, run)
    assert [answer.data for answer in answers] == [{"query": str(n)} for n in range(20)]
    assert most == batches.AT_A_TIME


# The allow-list ------------------------------------------------------------------------------

DOCUMENTS = {"names": "query Names { me { username } }", "type": TYPENAME}


@pytest.fixture
def allow_list(tmp_path: Path) -> Path:
    path = tmp_path / "documents.json"
    path.write_text(json.dumps(DOCUMENTS))
    return path


def hashed(text: str) -> dict[str, object]:
    persisted = {"version": 1, "sha256Hash": sha256(text.encode()).hexdigest()}
    return {"extensions": {"persistedQuery": persisted}}


@pytest.mark.parametrize(
    "request_",
    [
        {"documentId": "names"},
        {"query": DOCUMENTS["names"], "variables": {}},
        {"documentId": "names", "operationName": "Names"},
        hashed(DOCUMENTS["names"]),
    ],
)
async def test_a_listed_document_runs_by_id_hash_or_text(
    ctx: Context, allow_list: Path, request_: dict[str, Any]
) -> None:
    user, token = await sign_in(ctx)
    status, body = await ask(Api(ctx, allow_list=allow_list), request_, authorization=token)
    assert (status, body["data"]) == (200, {"me": {"username": user.username}})


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"documentId": "other"}, "NOT_FOUND"),
        (hashed("{ me { role } }"), "NOT_FOUND"),
        ({"query": "{ me { role } }"}, "NOT_FOUND"),
        ({"query": "{ me { role } }", "documentId": "names"}, "NOT_FOUND"),
        ({"query": "{ __schema { types { name } } }"}, "NOT_FOUND"),
        ({"query": f"{TYPENAME} "}, "NOT_FOUND"),
        ({}, "INVALID_INPUT"),
        ({"documentId": 5}, "INVALID_INPUT"),
        ({"extensions": {"persistedQuery": "x"}}, "INVALID_INPUT"),
        ({"documentId": "names", "variables": 5}, "INVALID_INPUT"),
    ],
)
async def test_nothing_else_runs(
    ctx: Context, allow_list: Path, request_: dict[str, Any], code: str
) -> None:
    _, token = await sign_in(ctx)
    status, body = await ask(Api(ctx, allow_list=allow_list), request_, authorization=token)
    assert status == 400
    assert body["errors"][0]["extensions"]["code"] == code


async def test_a_member_of_a_batch_that_is_not_listed_is_named(
    ctx: Context, allow_list: Path
) -> None:
    members = [{"documentId": "type"}, {"documentId": "other"}]
    status, body = await ask(Api(ctx, allow_list=allow_list, batch_max=2), members)
    assert status == 400
    assert body["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    assert body["errors"][0]["message"] == "[1]: document other not found"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "unexpected end"),
        ("[]", "JSON object"),
        ("{}", "JSON object"),
        ('{"a": 5}', "document a: must be a text"),
        ('{"a": "{"}', "document a: Syntax Error"),
        ('{"a": "{ nonsense }"}', "document a: Cannot query field 'nonsense'"),
    ],
)
def test_a_list_that_cannot_be_used_stops_the_start(
    ctx: Context, tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "documents.json"
    path.write_text(text)
    with pytest.raises(BadSettings, match="FLEETGRAPH_GRAPHQL_ALLOW_LIST") as refused:
        Api(ctx, allow_list=path)
    assert problem in str(refused.value)


def test_a_list_that_is_not_there_stops_the_start(ctx: Context, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="No such file"):
        Api(ctx, allow_list=tmp_path / "documents.json")
