"""The command line: up, serve, work, migrate, simulate, schema, openapi, settings, bench."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from core.errors import AppError, InvalidInput
from fleetgraph.commands import audit, certificates, tenants, tokens
from fleetgraph.logs import set_up_logging
from fleetgraph.running import run, settings_of
from fleetgraph.settings import BadSettings

DEMO_AGENTS = 20
WORKERS = (
    "ingest",
    "broker-accounts",
    "broker-messages",
    "broker-watch",
    "sessions",
    "liveness",
    "retention",
    "audit-chain",
    "mail",
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; every expected failure is a sentence on standard error, status 1."""
    arguments = parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except BadSettings as error:
        _fail("The settings cannot be used:", *(f"  {problem}" for problem in error.problems))
    except AppError as error:
        _fail(f"fleetgraph: {error.message}")
    except OSError as error:
        _fail(f"fleetgraph: {error}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    root = argparse.ArgumentParser(
        prog="fleetgraph", description="GraphQL-first backend for fleets of industrial edge agents."
    )
    root.add_argument("--version", action="version", version=version("fleetgraph"))
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start the whole system on this machine")
    up.add_argument("--data-dir", type=Path, metavar="D", help="where the data are kept")
    up.add_argument("--host", metavar="H", help="address of the API (default 127.0.0.1)")
    up.add_argument("--port", type=int, metavar="N", help="port of the API (default 3002)")
    up.add_argument("--mqtt-port", type=int, metavar="N", help="port of the broker (default 1883)")
    up.add_argument(
        "--demo",
        type=int,
        nargs="?",
        const=DEMO_AGENTS,
        metavar="AGENTS",
        help=f"simulate a plant (default {DEMO_AGENTS} agents)",
    )
    up.set_defaults(command=_up)

    serve = commands.add_parser("serve", help="serve the API only; PostgreSQL by settings")
    serve.add_argument("--host", metavar="H")
    serve.add_argument("--port", type=int, metavar="N")
    serve.set_defaults(command=_serve)

    work = commands.add_parser("work", help="run workers only; PostgreSQL and broker by settings")
    work.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(WORKERS)}; all")
    work.set_defaults(command=_work)

    migrate = commands.add_parser("migrate", help="bring the database's schema up to date")
    migrate.set_defaults(command=_migrate)

    simulate = commands.add_parser("simulate", help="simulate agents against any server")
    simulate.add_argument("--agents", type=int, default=DEMO_AGENTS, metavar="N")
    simulate.add_argument(
        "--rate", type=float, default=1.0, metavar="R", help="readings per metric and second"
    )
    simulate.add_argument("--url", required=True, metavar="U", help="address of the API")
    key = simulate.add_mutually_exclusive_group(required=True)
    key.add_argument("--key", metavar="K", help="provisioning key")
    key.add_argument("--key-file", type=Path, metavar="F", help="file that holds it")
    simulate.add_argument("--seed", type=int, default=1)
    simulate.add_argument("--seconds", type=float, metavar="S", help="end after so long")
    simulate.add_argument("--state-file", type=Path, metavar="F", help="keeps the agents' identity")
    simulate.add_argument("--control-file", type=Path, metavar="F", help="lines are faults")
    simulate.add_argument(
        "--fault-rate", type=float, default=0.0, metavar="R", help="faults per machine and hour"
    )
    simulate.add_argument("--encodings", default="mixed", metavar="LIST")
    simulate.add_argument("--rich", action="store_true", help="about 1 KB per reading")
    simulate.set_defaults(command=_simulate)

    for name, command, text in (
        ("schema", _schema, "print the GraphQL schema"),
        ("openapi", _openapi, "print the OpenAPI document"),
        ("settings", _settings, "print every setting as Markdown"),
    ):
        commands.add_parser(name, help=text).set_defaults(command=command)

    for noun in (tenants, audit, tokens, certificates):
        noun.add(commands)

    bench = commands.add_parser("bench", help="measure this machine (from a checkout)")
    bench.add_argument("rest", nargs=argparse.REMAINDER)
    bench.set_defaults(command=_bench)
    return root


def _up(arguments: argparse.Namespace) -> None:
    settings = settings_of(
        http={"host": arguments.host, "port": arguments.port},
        mqtt={"port": arguments.mqtt_port},
        data={"dir": arguments.data_dir},
    )
    if arguments.demo is not None and not 1 <= arguments.demo <= 1000:
        raise InvalidInput("--demo", "takes 1 to 1000 agents")
    from fleetgraph.up import run_up  # noqa: PLC0415  (keeps the other commands quick)

    run(lambda stop: run_up(settings, stop, demo_agents=arguments.demo))


def _serve(arguments: argparse.Namespace) -> None:
    settings = settings_of(http={"host": arguments.host, "port": arguments.port})
    from fleetgraph.parts import run_serve  # noqa: PLC0415

    run(lambda stop: run_serve(settings, stop))


def _work(arguments: argparse.Namespace) -> None:
    settings = settings_of()
    unknown = sorted(set(arguments.names) - set(WORKERS))
    if unknown:
        raise InvalidInput("work", f"there is no {unknown[0]}; there are {', '.join(WORKERS)}")
    from fleetgraph.parts import run_work  # noqa: PLC0415

    run(lambda stop: run_work(settings, stop, arguments.names or WORKERS))


def _migrate(arguments: argparse.Namespace) -> None:
    settings = settings_of()
    from fleetgraph.parts import run_migrate  # noqa: PLC0415

    run(lambda _stop: run_migrate(settings))


def _simulate(arguments: argparse.Namespace) -> None:
    settings = settings_of()
    set_up_logging(settings.log.level, settings.log.format)
    from fleetgraph.simulator.run import SimulatorOptions, simulate  # noqa: PLC0415

    key = arguments.key or arguments.key_file.read_text(encoding="utf-8").strip()
    secret = settings.agent.update_secret
    options = SimulatorOptions(
        url=arguments.url,
        provisioning_key=key,
        agents=arguments.agents,
        rate_hz=arguments.rate,
        seed=arguments.seed,
        state_file=arguments.state_file,
        fault_rate_per_hour=arguments.fault_rate,
        encodings=arguments.encodings,
        rich=arguments.rich,
        control_file=arguments.control_file,
        interactive=sys.stdin.isatty(),
        seconds=arguments.seconds,
        update_secret=secret.get_secret_value() if secret else None,
    )
    run(lambda stop: simulate(options, stop))


def _schema(arguments: argparse.Namespace) -> None:
    from schema.root import schema  # noqa: PLC0415

    print(schema.as_str())


def _openapi(arguments: argparse.Namespace) -> None:
    from fleetgraph.app import openapi_text  # noqa: PLC0415

    print(openapi_text(), end="")


def _settings(arguments: argparse.Namespace) -> None:
    from fleetgraph.settings_page import settings_page  # noqa: PLC0415

    print(settings_page(), end="")


def _bench(arguments: argparse.Namespace) -> None:
    try:
        from benchmarks.run import main as bench  # noqa: PLC0415
    except ImportError:
        _fail("fleetgraph: the benchmarks are not part of the package; run this in a checkout")
    bench(arguments.rest)


def _fail(*lines: str) -> NoReturn:
    print(*lines, sep="\n", file=sys.stderr)
    raise SystemExit(1)
