"""Certificates for the broker and its clients, of an authority for development."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetgraph.certificates import Written


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun's commands."""
    certificates = commands.add_parser("certificates", help="make certificates for the broker")
    verbs = certificates.add_subparsers(required=True, metavar="VERB")

    make = verbs.add_parser(
        "make", help="make an authority, unless there is one, and renew the broker's certificate"
    )
    make.add_argument("folder", type=Path, metavar="FOLDER")
    make.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="name or address by which agents reach the broker; may be repeated",
    )
    make.set_defaults(command=_make)

    agent = verbs.add_parser("agent", help="make the certificate of one of the broker's accounts")
    agent.add_argument("folder", type=Path, metavar="FOLDER", help="with the authority")
    agent.add_argument("username", metavar="USER", help="of the broker: <tenant>/a/<agent>")
    agent.set_defaults(command=_agent)

    for verb in (make, agent):
        verb.add_argument("--days", type=int, metavar="N", help="it holds for (default 397)")


def _make(arguments: argparse.Namespace) -> None:
    from core.clock import SystemClock  # noqa: PLC0415  (keeps the other commands quick)
    from fleetgraph.certificates import CA_FILE, DAYS, make_server  # noqa: PLC0415

    days = DAYS if arguments.days is None else arguments.days
    written = make_server(arguments.folder, arguments.host, SystemClock().now(), days)
    sys.stdout.write(f"Authority    {arguments.folder / CA_FILE}\n{_told(written)}")


def _agent(arguments: argparse.Namespace) -> None:
    from core.clock import SystemClock  # noqa: PLC0415
    from fleetgraph.certificates import DAYS, make_client  # noqa: PLC0415

    days = DAYS if arguments.days is None else arguments.days
    sys.stdout.write(
        _told(make_client(arguments.folder, arguments.username, SystemClock().now(), days))
    )


def _told(written: Written) -> str:
    """Return where the files are; never what is in them."""
    return (
        f"Certificate  {written.certificate}\n"
        f"Key          {written.key}\n"
        f"Until        {written.until:%Y-%m-%d}\n"
    )
