"""Keys that sign access tokens."""

from __future__ import annotations

import argparse
import os
import sys

from fleetgraph.running import settings_of
from fleetgraph.settings import BadSettings


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun's commands."""
    keys = commands.add_parser("token-key", help="make keys that sign access tokens")
    verbs = keys.add_subparsers(required=True, metavar="VERB")
    new = verbs.add_parser(
        "new", help="write a private key into the folder of keys, and print its id"
    )
    new.add_argument(
        "--algorithm",
        choices=("EdDSA", "RS256"),
        help="default: as the settings say, else EdDSA",
    )
    new.set_defaults(command=_new)


def _new(arguments: argparse.Namespace) -> None:
    from core.ids import RandomIds  # noqa: PLC0415  (keeps the other commands quick)
    from core.token_keys import new_key  # noqa: PLC0415

    token = settings_of().token
    if token.keys_dir is None:
        raise BadSettings(["FLEETGRAPH_TOKEN_KEYS_DIR: needed here; keys are kept in that folder"])
    chosen = "EdDSA" if token.algorithm == "HS256" else token.algorithm
    pem = new_key(arguments.algorithm or chosen)
    kid = RandomIds().uuid().hex  # ids grow with time, so the newest key is the last by name
    token.keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = token.keys_dir / f"{kid}.pem"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(pem)
    sys.stdout.write(f"{kid}\n")
