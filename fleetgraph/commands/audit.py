"""The audit log: verified and exported."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from core.clock import SystemClock
from core.errors import InvalidInput
from fleetgraph.running import run, settings_of

if TYPE_CHECKING:
    from core.audit_verification import ChainCheck
    from core.context import Context
    from fleetgraph.settings import Settings


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun's commands."""
    audit = commands.add_parser("audit", help="verify or export the audit log")
    verbs = audit.add_subparsers(required=True, metavar="VERB")

    key = verbs.add_parser("key", help="print the key that verifies checkpoints")
    key.set_defaults(command=_key)

    verify = verbs.add_parser("verify", help="find altered, missing and cut-off events; status 1")
    verify.add_argument("--tenant", metavar="T", help="id, uuid or name; 0: the installation's own")
    verify.add_argument(
        "--anchor",
        action="append",
        default=[],
        metavar="POSITION:HASH",
        help="a checkpoint of the tenant that a log collector kept; may be repeated",
    )
    verify.add_argument("--file", type=Path, metavar="F", help="an exported file, not the database")
    verify.add_argument("--public-key", metavar="K", help="in base64, as `audit key` prints it")
    verify.add_argument("--json", action="store_true", help="print JSON")
    verify.set_defaults(command=_verify)

    export = verbs.add_parser("export", help="print events as JSON lines that can be verified")
    export.add_argument("--tenant", required=True, metavar="T", help="id, uuid or name")
    export.add_argument("--from", dest="since", type=_moment, metavar="TIME", help="inclusive")
    export.add_argument("--to", dest="until", type=_moment, metavar="TIME", help="exclusive")
    export.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")
    export.set_defaults(command=_export)

    for verb in (key, verify, export):
        verb.add_argument("--data-dir", type=Path, metavar="D", help="as `up` has it")


def _key(arguments: argparse.Namespace) -> None:
    from core.audit_chain import Signer  # noqa: PLC0415  (keeps the other commands quick)
    from core.derived_secrets import DerivedSecrets  # noqa: PLC0415
    from fleetgraph.places import data_dir_of  # noqa: PLC0415
    from fleetgraph.secrets_file import master_secret  # noqa: PLC0415

    settings = settings_of(data={"dir": arguments.data_dir})
    given = settings.data.secret.get_secret_value() if settings.data.secret else None
    _say(Signer(DerivedSecrets(master_secret(data_dir_of(settings), given))).public_key)


def _verify(arguments: argparse.Namespace) -> None:
    found: list[dict[str, Any]] = []
    if arguments.file is not None:
        found.append(_verify_file(arguments))
    else:
        settings = settings_of(data={"dir": arguments.data_dir})
        run(lambda _stop: _verify_database(settings, arguments, found))
    for each in found:
        _say(orjson.dumps(each).decode() if arguments.json else in_words(each))
    if any(each["problem_count"] for each in found):
        raise SystemExit(1)


def _verify_file(arguments: argparse.Namespace) -> dict[str, Any]:
    from core.audit_files import check_file  # noqa: PLC0415

    if not arguments.public_key:
        raise InvalidInput("--public-key", "is needed with --file: the key must not come with it")
    with arguments.file.open("rb") as lines:
        check = check_file(lines, arguments.public_key)
    return {"file": str(arguments.file), **_told(check)}


async def _verify_database(
    settings: Settings, arguments: argparse.Namespace, found: list[dict[str, Any]]
) -> None:
    from fleetgraph.reaching import reach_parts  # noqa: PLC0415
    from resolvers.audit import list_audited_tenants, verify_tenant_audit  # noqa: PLC0415

    anchors = dict(read_anchor(text) for text in arguments.anchor)
    if anchors and arguments.tenant is None:
        raise InvalidInput("--anchor", "is of one tenant: name it with --tenant")
    async with reach_parts(settings) as services:
        ctx = services.system()
        named = arguments.tenant
        tenants = [await _tenant_id(ctx, named)] if named else await list_audited_tenants(ctx)
        for tenant_id in tenants:
            verified = await verify_tenant_audit(ctx, tenant_id, arguments.public_key, anchors)
            found.append(
                {
                    "tenant": tenant_id,
                    **_told(verified.check),
                    "last_hash": verified.last_hash.hex(),
                    "pending": verified.pending,
                    "public_key": verified.public_key,
                }
            )


def _export(arguments: argparse.Namespace) -> None:
    settings = settings_of(data={"dir": arguments.data_dir})
    run(lambda _stop: _export_chain(settings, arguments))


async def _export_chain(settings: Settings, arguments: argparse.Namespace) -> None:
    from fleetgraph.reaching import reach_parts  # noqa: PLC0415
    from resolvers.audit import export_chain  # noqa: PLC0415

    async with reach_parts(settings) as services:
        ctx = services.system()
        tenant_id = await _tenant_id(ctx, arguments.tenant)
        lines = await export_chain(ctx, tenant_id, arguments.since, arguments.until)
        with _output(arguments.out) as out:
            async for line in lines:
                await asyncio.to_thread(out.write, line + b"\n")


async def _tenant_id(ctx: Context, text: str) -> int:
    from resolvers.audit import find_audited_tenant  # noqa: PLC0415

    return await find_audited_tenant(ctx, text)


@contextmanager
def _output(path: Path | None) -> Iterator[IO[bytes]]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with path.open("wb") as out:
        yield out


def _told(check: ChainCheck) -> dict[str, Any]:
    return {
        "intact": check.problem_count == 0,
        "events": check.rows,
        "checkpoints": check.checkpoints,
        "start": check.start,
        "last_position": check.last_position,
        "problem_count": check.problem_count,
        "problems": check.problems,
    }


def in_words(found: dict[str, Any]) -> str:
    """Return what the JSON tells, for people."""
    of = f"tenant {found['tenant']}" if "tenant" in found else found["file"]
    span, pending = _span(found), found.get("pending")
    if found["intact"]:
        said = [f"{of}: intact", *([span] if found["events"] or not pending else [])]
        return "; ".join([*said, *([f"{pending} not chained yet"] if pending else [])])
    lines = [f"{of}: NOT intact, {found['problem_count']} findings; {span}"]
    lines += [f"  {problem.kind}: {problem.message}" for problem in found["problems"]]
    more = found["problem_count"] - len(found["problems"])
    return "\n".join(lines + ([f"  and {more} more"] if more else []))


def _span(found: dict[str, Any]) -> str:
    start = found["start"]
    if found["events"]:
        return f"{found['events']} events, positions {start + 1} to {found['last_position']}"
    return f"no events behind position {start}" if start or not found["intact"] else "no events yet"


def read_anchor(text: str) -> tuple[int, bytes]:
    """Return the position and the hash in `POSITION:HASH`; raises InvalidInput."""
    position, _, hash_hex = text.partition(":")
    with suppress(ValueError):
        if hash_hex:
            return int(position), bytes.fromhex(hash_hex)
    raise InvalidInput("--anchor", "is POSITION:HASH, as the log has them")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=SystemClock().now().tzinfo)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
