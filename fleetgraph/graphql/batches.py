"""Several operations in one request: bounded in number, and in how many run at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from core.errors import AppError, InvalidInput, NotFound
from fleetgraph.graphql.edge import ReadRequest
from fleetgraph.graphql.encoding import refusal
from schema.execution.requests import Answer, GraphQLRequest, Refused

AT_A_TIME: Final = 4

Run = Callable[[GraphQLRequest], Awaitable[Answer]]


def read_batch(members: list[Any], limit: int, read_request: ReadRequest) -> list[GraphQLRequest]:
    """Return the requests of a batch.

    Raises InvalidInput, `[2].query` for a member of one; NotFound for a document that an allow-list
    does not have.
    """
    if limit == 1:
        raise InvalidInput(
            "body", "must be a JSON object: this server takes no batches (graphql.batch_max is 1)"
        )
    if not 1 <= len(members) <= limit:
        raise InvalidInput(
            "body",
            f"a batch must have 1 to {limit} operations (graphql.batch_max), not {len(members)}",
            limit=limit,
        )
    requests = []
    for place, member in enumerate(members):
        try:
            requests.append(read_request(member))
        except InvalidInput as error:
            field, reason = error.facts["field"], error.facts["reason"]
            raise InvalidInput(f"[{place}].{field}", str(reason)) from None
        except NotFound as error:
            raise NotFound(f"[{place}]: {error.facts['noun']}", error.facts["key"]) from None
    return requests


async def run_all(requests: Sequence[GraphQLRequest], run: Run) -> list[Answer]:
    """Return the answers in the order of the requests; what is refused is one of them."""
    turn = asyncio.Semaphore(AT_A_TIME)

    async def one(request: GraphQLRequest) -> Answer:
        async with turn:
            try:
                return await run(request)
            except Refused as refused:
                return refused.answer
            except AppError as error:
                return refusal(error)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(request)) for request in requests]
    return [task.result() for task in tasks]
