"""Tenants: made and listed by who runs the installation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fleetgraph.running import run, settings_of

if TYPE_CHECKING:
    from fleetgraph.settings import Settings


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun's commands."""
    tenant = commands.add_parser("tenant", help="make and list tenants")
    verbs = tenant.add_subparsers(required=True, metavar="VERB")

    create = verbs.add_parser("create", help="make a tenant and its owner; prints the password")
    create.add_argument("name", metavar="NAME", help="1 to 200 characters")
    create.add_argument("--owner-email", required=True, metavar="E")
    create.add_argument("--owner-name", metavar="U", help="to sign in with (default: the address)")
    create.set_defaults(command=_create)

    list_ = verbs.add_parser("list", help="print all tenants by name: number, uuid, day, name")
    list_.set_defaults(command=_list)

    for verb in (create, list_):
        verb.add_argument("--data-dir", type=Path, metavar="D", help="as `up` has it")


def _create(arguments: argparse.Namespace) -> None:
    settings = settings_of(data={"dir": arguments.data_dir})
    run(lambda _stop: _create_tenant(settings, arguments))


async def _create_tenant(settings: Settings, arguments: argparse.Namespace) -> None:
    from fleetgraph.reaching import reach_parts  # noqa: PLC0415  (keeps the other commands quick)
    from resolvers.tenants import create_tenant  # noqa: PLC0415

    async with reach_parts(settings) as services:
        made = await create_tenant(
            services.system(),
            arguments.name,
            owner_email=arguments.owner_email,
            owner_username=arguments.owner_name,
        )
    _say(f"Tenant    {made.row.name}   {made.row.uuid}")
    _say(f"Login     {made.owner.username}")
    _say(f"Password  {made.password}   (shown only now; to be changed at the first login)")


def _list(arguments: argparse.Namespace) -> None:
    settings = settings_of(data={"dir": arguments.data_dir})
    run(lambda _stop: _list_tenants(settings))


async def _list_tenants(settings: Settings) -> None:
    from fleetgraph.reaching import reach_parts  # noqa: PLC0415
    from resolvers.tenants import list_tenants  # noqa: PLC0415

    async with reach_parts(settings) as services:
        page = await list_tenants(services.system())
        while True:
            for row in page.items:
                _say(f"{row.id:>6}  {row.uuid}  {row.created_at:%Y-%m-%d}  {row.name}")
            if not page.has_next:
                return
            page = await list_tenants(services.system(), after=page.cursors[-1])


def _say(line: str) -> None:
    print(line)  # noqa: T201  (what the command was asked for)
