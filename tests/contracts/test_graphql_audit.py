"""What npm's `graphql-http`, the reference of GraphQL over HTTP, says about the running server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from core.context import Context
from tests.contracts.serving import Api
from tests.tools import require_program

AUDIT = Path(__file__).parent / "audit"
INSTALL_SECONDS = 180
AUDIT_SECONDS = 60

NEED_GET = {"5A70", "6A70", "D6D5"}
"""Audits that begin with MAY and ask by GET, which is off until an operator turns it on."""


async def run(*command: str | Path, seconds: float) -> str:
    """Return what a program printed in the audit's folder; fails when the program does."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=AUDIT, stdout=-1, stderr=-1
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()[-2_000:]
    return out.decode()


@pytest.fixture(scope="module")
async def node() -> Path:
    """Node, with the audit installed as the lock file says."""
    node, npm = require_program("node"), require_program("npm")
    installed = AUDIT / "node_modules" / ".package-lock.json"
    locked = AUDIT / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
        options = ("--ignore-scripts", "--no-audit", "--no-fund")
        await run(npm, "ci", *options, seconds=INSTALL_SECONDS)
    return node


async def audit(node: Path, api: Api) -> list[dict[str, Any]]:
    async with api.server() as port:
        url = f"http://127.0.0.1:{port}/graphql"
        found: list[dict[str, Any]] = json.loads(
            await run(node, "audit.mjs", url, seconds=AUDIT_SECONDS)
        )
        return found


@pytest.mark.slow
async def test_all_audits_pass(ctx: Context, node: Path) -> None:
    results = await audit(node, Api(ctx, get=True))
    assert [result for result in results if result["status"] != "ok"] == []
    assert len(results) == 61


@pytest.mark.slow
async def test_without_get_only_what_may_be_refused_is_refused(ctx: Context, node: Path) -> None:
    results = await audit(node, Api(ctx))
    failed = {result["id"]: result for result in results if result["status"] != "ok"}
    assert {*failed} == NEED_GET
    assert all(result["name"].startswith("MAY ") for result in failed.values())
