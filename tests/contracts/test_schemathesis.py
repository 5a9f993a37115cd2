"""Random calls made from /openapi.json: nothing breaks, and nothing is answered but what is told."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.context import Context
from fleetgraph.app import openapi_text
from tests.contracts.serving import Api, give_key, sign_in
from tests.factories import make_agent
from tests.schema.asking import record

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["person", "agent"])
async def test_random_calls_are_answered_as_documented(
    ctx: Context, tmp_path: Path, who: str
) -> None:
    agent = await make_agent(ctx, name="press")
    await record(ctx, agent, "temp", [(ctx.clock.now(), 1.5)])
    credential = (
        f"Authorization: {(await sign_in(ctx))[1]}"
        if who == "person"
        else f"X-Device-API-Key: {await give_key(ctx, agent)}"
    )
    # Random identities find nothing; the examples' identity is made the agent's.
    document = openapi_text().replace("3f2b8c14-5d6e-4a7b-9c8d-0e1f2a3b4c5d", str(agent.uuid))

    async def openapi_document(request: Request) -> Response:
        return Response(document, media_type="application/json")

    api = Api(ctx)
    api.app.router.routes.insert(0, Route("/openapi.json", openapi_document))
    report = tmp_path / "report.json"
    async with api.server() as port:
        process = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).parent / "schemathesis", "run"),
            f"http://127.0.0.1:{port}/openapi.json",
            *("--header", credential, "--checks", ",".join(CHECKS)),
            *(
                "--include-path-regex" if who == "agent" else "--exclude-path-regex",
                "/api/v1/devices?/",
            ),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--seed", "3"),
            *("--max-time", "25", "--continue-on-failure", "--no-color"),
            *("--report-json-path", report, "--report", "json"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text[-8000:]
    assert orjson.loads(report.read_bytes()), text
    assert " passed" in text, text
