"""A stock client generator reads the OpenAPI document; its client compiles, and works."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.context import Context
from tests.contracts.serving import Api, sign_in
from tests.factories import make_agent

DOCUMENT = Path(__file__).parents[2] / "rest_compat" / "openapi.json"
PROGRAMS = Path(sys.executable).parent
CALL = """
import sys
from made.api.agents import get_agent, list_agents
from made.client import AuthenticatedClient
client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
(agent,) = list_agents.sync(client=client).agents
print(get_agent.sync(uuid=agent.uuid, client=client).device.name)
"""


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
async def test_a_generated_client_compiles_and_calls(ctx: Context, tmp_path: Path) -> None:
    # The generator knows no type of streams.
    overrides = "content_type_overrides:\n  application/x-ndjson: application/octet-stream\n"
    (tmp_path / "generator.yml").write_text(overrides)
    made = run(
        *(PROGRAMS / "openapi-python-client", "generate", "--path", DOCUMENT),
        *("--output-path", "made", "--meta", "none", "--fail-on-warning"),
        *("--config", tmp_path / "generator.yml"),
        folder=tmp_path,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    checked = run(PROGRAMS / "mypy", "--config-file=", "made", folder=tmp_path)
    # The generator's own file of plumbing, the same for every document, is not our matter.
    ours = [
        line
        for line in checked.stdout.splitlines()
        if "error:" in line and not line.startswith(f"made{os.sep}client.py")
    ]
    assert not ours
    assert "checked" in checked.stdout, checked.stdout + checked.stderr
    await make_agent(ctx, name="press")
    _, authorization = await sign_in(ctx)
    token = authorization.removeprefix("Bearer ")
    async with Api(ctx).server() as port:
        url = f"http://127.0.0.1:{port}"
        called = await asyncio.to_thread(
            run, sys.executable, "-c", CALL, url, token, folder=tmp_path
        )
    assert called.stdout == "press\n", called.stderr
