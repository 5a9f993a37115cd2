"""What the pages say is what the program does."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from core.access import ROLES, SCOPES, Permission
from core.broker_accounts import AGENT_READ, AGENT_WRITE
from core.callers import Role
from fleetgraph.cli import WORKERS, parser
from fleetgraph.embedded.mosquitto import _CONFIG as MOSQUITTO
from fleetgraph.settings import FILE_VARIABLE, variables
from fleetgraph.settings_page import settings_page
from tests.source import texts
from workers import ingest, mqtt

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.golden
def test_the_page_of_settings_is_current() -> None:
    if os.environ.get("FLEETGRAPH_TEST_GOLDEN"):
        (DOCS / "settings.md").write_text(settings_page(), encoding="utf-8")
    assert page("settings.md") == settings_page()


def test_every_setting_is_explained() -> None:
    assert not [name for name, (_, _, field) in variables().items() if not field.description]


def test_variables_that_are_named_exist() -> None:
    known = {*variables(), FILE_VARIABLE}
    unknown = {
        (name, word)
        for name, text in texts()
        if name.endswith((".md", ".yml", "Dockerfile", "Makefile"))
        for word in re.findall(r"FLEETGRAPH_[A-Z_]+[A-Z]", text)
        if word not in known and not word.startswith("FLEETGRAPH_TEST_")
    }
    assert not unknown


def test_links_lead_somewhere() -> None:
    broken = [
        (path.name, link)
        for path in DOCS.rglob("*.md")
        for link in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
        if "://" not in link and not (path.parent / link).exists()
    ]
    assert not broken


def test_files_that_are_named_exist() -> None:
    folders = "core|models|resolvers|schema|rest_compat|workers|fleetgraph|tests"
    named = {
        (path.name, word)
        for path in DOCS.rglob("*.md")
        for word in re.findall(rf"`((?:{folders})/[\w./*-]+)`", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 15
    assert not [pair for pair in named if not [*ROOT.glob(pair[1].rstrip("/"))]]


def test_decisions_are_numbered_dated_and_settled() -> None:
    decisions = sorted((DOCS / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        first, _, status = path.read_text(encoding="utf-8").splitlines()[:3]
        assert first.startswith(f"# {path.name[:4]} · ")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d · (accepted|superseded by \d{4})", status)


def test_the_page_of_mqtt_has_the_rights_of_agents() -> None:
    rights = page("mqtt.md").partition("## Rights")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?:`(.+?)`)? ?\| (?:`(.+?)`)? ?\|$", rights, re.MULTILINE)
    assert {write for write, _ in rows if write} == set(AGENT_WRITE)
    assert {read for _, read in rows if read} == set(AGENT_READ)


def test_the_page_of_mqtt_has_the_real_bounds() -> None:
    text = page("mqtt.md")
    seconds = re.search(r"autosave_interval (\d+)", MOSQUITTO)
    messages = re.search(r"max_queued_messages (\d+)", MOSQUITTO)
    assert seconds
    assert messages
    assert f"{seconds[1]} s under `fleetgraph up`" in text
    assert f"{int(messages[1]):,} messages with Mosquitto" in text
    assert f"more than {ingest.PENDING_READINGS_MAX:,} readings" in text
    assert f"at most {mqtt.HANDLING_MAX:,} messages in hand" in text
    assert f"below\n{ingest.PENDING_READINGS_MAX // 5:,}" in text


def test_the_page_of_operations_lists_every_metric() -> None:
    importlib.import_module("core.metrics")
    exposed = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if family.name.startswith("fleetgraph_")
    }
    assert len(exposed) >= 12
    listed = set(re.findall(r"^\| `(fleetgraph_\w+)`", page("operations.md"), re.MULTILINE))
    assert listed == exposed


def test_the_page_of_operations_lists_every_worker() -> None:
    assert not [name for name in WORKERS if f"`{name}`" not in page("operations.md")]


def test_the_pages_name_every_command() -> None:
    everything = page("operations.md") + (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (choices,) = (a.choices for a in parser()._actions if a.choices and a.dest == "==SUPPRESS==")
    assert choices
    assert not [name for name in choices if f"{name}`" not in everything]


def test_the_example_of_an_endpoint_is_the_real_one() -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", page("adding-an-endpoint.md"), re.DOTALL)
    operation = next(code for language, code in blocks if language == "graphql")
    assert operation in (ROOT / "rest_compat/operations/target_states.graphql").read_text(
        encoding="utf-8"
    )
    python = "".join(
        (ROOT / name).read_text(encoding="utf-8")
        for name in ("resolvers/target_states.py", "schema/target_states.py")
    )
    shown = re.findall(
        r"^   ```text\n(.*?)^   ```", page("adding-an-endpoint.md"), re.MULTILINE | re.DOTALL
    )
    assert len(shown) == 2
    for code in shown:
        lines = [line.strip() for line in code.splitlines()]
        assert "\n".join(lines).strip() in "\n".join(x.strip() for x in python.splitlines())


def role_table() -> str:
    people = [role for role in Role if role in ROLES[Permission.SELF]]
    lines = [
        f"| Permission | {' | '.join(people)} |",
        "| --- " * (len(people) + 1) + "|",
    ]
    for permission in SCOPES:
        marks = ["✓" if role in ROLES[permission] else "" for role in people]
        lines.append(f"| `{permission}` | {' | '.join(marks)} |")
    return "\n".join(lines)


@pytest.mark.golden
def test_the_page_of_access_has_the_table_of_roles() -> None:
    path = ROOT / "docs" / "access.md"
    head, mark, rest = path.read_text(encoding="utf-8").partition("<!-- roles -->\n")
    _, end, tail = rest.rpartition("<!-- end of roles -->\n")
    wanted = f"{head}{mark}{role_table()}\n<!-- end of roles -->\n{tail if end else rest}"
    if os.environ.get("FLEETGRAPH_TEST_GOLDEN"):
        path.write_text(wanted, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == wanted, "run `make golden`"
