"""The command line: what it accepts, what it prints, how it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from fleetgraph import working
from fleetgraph.cli import DEMO_AGENTS, WORKERS, parser

pytestmark = pytest.mark.slow


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program by itself, with these variables only."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETGRAPH_")}
    return subprocess.run(
        [sys.executable, "-m", "fleetgraph", *arguments],
        env=env | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_up_has_an_optional_number_of_agents() -> None:
    assert parser().parse_args(["up"]).demo is None
    assert parser().parse_args(["up", "--demo"]).demo == DEMO_AGENTS
    assert parser().parse_args(["up", "--demo", "3"]).demo == 3
    assert parser().parse_args(["up", "--demo", "--port", "1"]).demo == DEMO_AGENTS


def test_it_knows_the_workers_there_are() -> None:
    assert WORKERS == working.NAMES


def test_prints_its_version() -> None:
    assert run("--version").stdout.strip() == version("fleetgraph")


@pytest.mark.slow
def test_prints_the_contracts_that_are_checked_in() -> None:
    root = Path(__file__).parents[2]
    assert run("schema").stdout.strip() == (root / "schema/schema.graphql").read_text().strip()
    assert run("openapi").stdout == (root / "rest_compat/openapi.json").read_text()
    assert run("settings").stdout == (root / "docs/settings.md").read_text()


def test_wrong_settings_are_all_told() -> None:
    done = run("up", FLEETGRAPH_HTTP_PORT="x", FLEETGRAPH_REDIS_URL="y", FLEETGRAPH_NONE="z")
    assert done.returncode == 1
    first, *problems = done.stderr.splitlines()
    assert first == "The settings cannot be used:"
    assert [text.split()[0].rstrip(":") for text in problems] == [
        "FLEETGRAPH_NONE",
        "FLEETGRAPH_HTTP_PORT",
        "FLEETGRAPH_REDIS_URL",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("serve", ["FLEETGRAPH_DATABASE_URL"]),
        ("migrate", ["FLEETGRAPH_DATABASE_URL"]),
        ("work", ["FLEETGRAPH_DATABASE_URL", "FLEETGRAPH_MQTT_URL"]),
    ],
)
def test_a_part_says_which_servers_it_needs(command: str, missing: list[str]) -> None:
    done = run(command)
    assert done.returncode == 1
    assert [line.split(":")[0].strip() for line in done.stderr.splitlines()[1:]] == missing
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("agents", ["0", "1001"])
def test_the_plant_has_a_limit(agents: str) -> None:
    done = run("up", "--demo", agents)
    assert done.returncode == 1
    assert done.stderr == "fleetgraph: --demo: takes 1 to 1000 agents\n"


def test_an_unknown_worker_is_named() -> None:
    done = run("work", "ingest", "nonsense")
    assert done.returncode == 1
    assert "there is no nonsense; there are ingest" in done.stderr


def test_a_file_that_is_not_there_is_a_sentence() -> None:
    done = run("simulate", "--url", "http://127.0.0.1:9", "--key-file", "/nowhere/key")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("fleetgraph: ")
    assert "/nowhere/key" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_database_that_is_away_is_a_sentence() -> None:
    done = run("migrate", FLEETGRAPH_DATABASE_URL="postgresql://u:hunter2@127.0.0.1:9/x")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_without_a_command_it_says_what_there_is() -> None:
    done = run()
    assert done.returncode == 2
    assert "COMMAND" in done.stderr
