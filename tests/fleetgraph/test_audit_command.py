"""`fleetgraph audit`: its words and its exit status, as scripts see them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest

from core.audit import AuditEntry, AuditType
from core.audit_chain import Signer
from core.callers import system_caller
from core.context import Context
from core.errors import InvalidInput
from fleetgraph.cli import parser
from fleetgraph.commands.audit import in_words, read_anchor
from models.audit import append_audit
from models.connection import fetch
from models.database import DatabaseUrl
from resolvers.audit import chain_audit
from tests.conftest import TEST_SECRET

pytestmark = pytest.mark.slow


async def audit(url: DatabaseUrl, folder: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Run the command on the tests' database; returns status, output, errors."""
    address = (
        f"postgresql://{quote(url.user)}:{quote(url.password)}@/{url.database}"
        f"?host={quote(url.host, safe='/')}&port={url.port}"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("FLEETGRAPH_")}
    env |= {"FLEETGRAPH_DATABASE_URL": address, "FLEETGRAPH_DATA_SECRET": TEST_SECRET}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fleetgraph", "audit", *arguments, "--data-dir", str(folder)),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_log_is_verified_exported_and_found_altered(
    ctx: Context, database_url: DatabaseUrl, tmp_path: Path
) -> None:
    tenant = ("--tenant", str(ctx.tenant_id))
    status, out, err = await audit(database_url, tmp_path, "verify", *tenant)
    assert (status, out.strip()) == (0, f"tenant {ctx.tenant_id}: intact; no events yet"), err

    await append_audit(ctx, [AuditEntry(AuditType.USER_UPDATED, f"user:{at}") for at in range(5)])
    while await fetch(
        "select 1 from audit_event where tenant_id = $1 and position is null", ctx.tenant_id
    ):
        await chain_audit(ctx.acting_as(system_caller(0)))
    key = Signer(ctx.secrets).public_key

    file = tmp_path / "log.ndjson"
    status, out, err = await audit(database_url, tmp_path, "export", *tenant, "--out", str(file))
    assert (status, out) == (0, ""), err
    of_file = ("verify", "--file", str(file), "--public-key", key)
    status, out, err = await audit(database_url, tmp_path, *of_file)
    assert (status, out.strip()) == (0, f"{file}: intact; 5 events, positions 1 to 5"), err

    await fetch(
        "update audit_event set subject = 'x' where tenant_id = $1 and position = 3", ctx.tenant_id
    )
    head = await fetch(
        "select chain_hash from audit_checkpoint where tenant_id = $1", ctx.tenant_id
    )
    anchor = ("--anchor", f"5:{head[0]['chain_hash'].hex()}", "--anchor", f"9:{'00' * 32}")
    status, out, _ = await audit(database_url, tmp_path, "verify", *tenant, *anchor, "--json")
    assert status == 1
    found = orjson.loads(out)
    assert found["public_key"] == key
    assert [(each["kind"], each["first"]) for each in found["problems"]] == [
        ("row_altered", 3),
        ("anchor_missed", 9),
    ]


def test_a_file_is_not_verified_with_a_key_that_comes_with_it(tmp_path: Path) -> None:
    arguments = parser().parse_args(["audit", "verify", "--file", str(tmp_path / "x")])
    with pytest.raises(InvalidInput, match="--public-key"):
        arguments.command(arguments)


@pytest.mark.parametrize(
    ("events", "start", "pending", "intact", "said"),
    [
        (5, 0, 0, True, "intact; 5 events, positions 1 to 5"),
        (5, 7, 2, True, "intact; 5 events, positions 8 to 12; 2 not chained yet"),
        (0, 0, 0, True, "intact; no events yet"),
        (0, 0, 2, True, "intact; 2 not chained yet"),
        (0, 7, 0, True, "intact; no events behind position 7"),
        (0, 0, 0, False, "NOT intact, 1 findings; no events behind position 0\n  and 1 more"),
    ],
)
def test_a_log_is_told_in_words(
    *, events: int, start: int, pending: int, intact: bool, said: str
) -> None:
    found = {"tenant": 3, "events": events, "start": start, "last_position": start + events}
    found |= {"pending": pending, "intact": intact, "problem_count": int(not intact)}
    assert in_words({**found, "problems": []}) == f"tenant 3: {said}"


@pytest.mark.parametrize("text", ["", "5", "5:xyz", "five:00"])
def test_an_anchor_is_a_position_and_a_hash(text: str) -> None:
    with pytest.raises(InvalidInput, match="POSITION:HASH"):
        read_anchor(text)
