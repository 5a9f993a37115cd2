"""What a reviewer should not have to look for: homes of libraries, anatomy of files."""

from __future__ import annotations

import ast
import re

import pytest

from tests.source import PACKAGES, ROOT, at_home, dotted, imports, product, texts, tree

LIBRARIES = {
    "aiosmtplib": ("fleetgraph/mailing.py",),
    "amqtt": ("fleetgraph/embedded/",),
    "argon2": ("core/passwords.py",),
    "asyncpg": (
        "models/",
        "fleetgraph/embedded/postgres.py",
        "fleetgraph/services.py",  # the pool's type
        "workers/retention.py",  # the pool's type
    ),
    "cryptography": (
        "core/token_keys.py",
        "core/audit_chain.py",
        "core/public_keys.py",
        "core/sealing.py",
        "fleetgraph/certificates.py",
        "fleetgraph/simulator/",
    ),
    "gmqtt": ("workers/mqtt.py", "fleetgraph/simulator/"),
    "httpx": ("fleetgraph/simulator/",),
    "jinja2": ("core/letters.py",),
    "jwt": ("core/tokens.py", "core/token_keys.py"),
    "limits": ("fleetgraph/limits.py",),
    "platformdirs": ("fleetgraph/places.py",),
    "prometheus_client": (
        "core/metrics.py",
        "fleetgraph/probes.py",
        "fleetgraph/requests.py",  # a counter's type
        "workers/ingest.py",  # a counter's type
    ),
    "pydantic": (
        "fleetgraph/agent_settings.py",
        "fleetgraph/settings.py",
        "fleetgraph/setting_sections.py",
        "fleetgraph/setting_types.py",
        "fleetgraph/settings_page.py",
        "fleetgraph/urls.py",
    ),
    "pydantic_settings": ("fleetgraph/settings.py", "fleetgraph/setting_types.py"),
    "redis": ("core/pubsub/redis.py", "fleetgraph/limits.py"),
    "starlette": ("rest_compat/", "fleetgraph/"),
    "strawberry": ("schema/",),
    "structlog": ("fleetgraph/logs.py", "fleetgraph/embedded/child.py"),
    "tortoise": (
        "models/",
        "resolvers/fleets.py",  # its IntegrityError
        "resolvers/provisioning_keys.py",  # IntegrityError, by which a race shows
    ),
    "uuid_utils": ("core/ids.py",),
    "uvicorn": (
        "fleetgraph/graphql/http_transport.py",
        "fleetgraph/graphql/transport.py",
        "fleetgraph/server.py",
    ),
    "uvloop": ("fleetgraph/running.py",),
    "websockets": ("fleetgraph/graphql/transport.py",),
    "zstandard": (
        "core/inflating.py",
        "core/payloads.py",
        "models/timeseries/journal.py",
        "fleetgraph/simulator/",
    ),
}
"""Which files may import what; replacing a library then changes few of them."""

CALLS = {
    "os.environ": ("fleetgraph/settings.py",),
    "os.getenv": ("fleetgraph/settings.py",),
    "datetime.now": ("core/clock.py",),
    "datetime.utcnow": (),
    "date.today": (),
    "time.time": (),
    "uuid4": ("core/ids.py",),
    "uuid7": ("core/ids.py",),
    "uuid.uuid4": ("core/ids.py",),
    "asyncio.get_event_loop": (),
}
"""Names that may be used only in these files."""

LONG_FILES = {
    "tests/contracts/test_pubsub.py": 425,
    "tests/core/test_telemetry.py": 530,
    "tests/rest_compat/test_operations.py": 420,
}
"""Files over the limit, each with its own; this table may only shrink."""

LINES_MAX = 350


def test_libraries_stay_at_home() -> None:
    astray = [
        f"{name} imports {library}"
        for name in product()
        for library in set(imports(tree(name)))
        if library in LIBRARIES and not at_home(name, LIBRARIES[library])
    ]
    assert not astray


def test_each_home_is_lived_in() -> None:
    empty = [
        f"{home} no longer imports {library}"
        for library, homes in LIBRARIES.items()
        for home in homes
        if not any(at_home(n, (home,)) and library in imports(tree(n)) for n in product())
    ]
    assert not empty


def test_time_identity_and_environment_have_one_source_each() -> None:
    astray = [
        f"{name}:{node.lineno} uses {word}"
        for name in product()
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Name | ast.Attribute)
        and (word := dotted(node)) in CALLS
        and not at_home(name, CALLS[word])
    ]
    assert not astray


# Files --------------------------------------------------------------------------------------


def test_no_file_is_longer_than_a_person_reads() -> None:
    too_long = {}
    for name, text in texts():
        if not name.endswith((".py", ".graphql", ".sql")) or name.endswith("/schema.graphql"):
            continue
        lines = text.count("\n")
        if lines > LONG_FILES.get(name, LINES_MAX):
            too_long[name] = lines
    assert not too_long


def test_the_list_of_long_files_only_shrinks() -> None:
    lines = {name: text.count("\n") for name, text in texts()}
    assert all(lines.get(name, 0) > LINES_MAX for name in LONG_FILES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_says_what_it_is_for(package: str) -> None:
    inits = [n for n in product() if n.startswith(f"{package}/") and n.endswith("__init__.py")]
    assert f"{package}/__init__.py" in inits
    assert not [name for name in inits if not ast.get_docstring(tree(name))]


def test_every_module_says_what_it_is_for() -> None:
    silent = [n for n in product() if "migrations" not in n and not ast.get_docstring(tree(n))]
    assert not silent


def test_nothing_is_left_for_later_and_nothing_names_a_machine() -> None:
    # Put together here, so that this file does not find itself.
    words = ["TO" + "DO", "FIX" + "ME", "/ho" + "me/", "/Us" + "ers/", "@pytest.mark.sk" + "ip("]
    if len(ROOT.parts) > 2:
        words.append(f"{ROOT}/")
    found = [f"{name}: {word}" for name, text in texts() for word in words if word in text]
    assert not found


def test_pages_that_are_named_exist() -> None:
    missing = [
        f"{name} names {page}"
        for name, text in texts()
        for page in re.findall(r"\bdocs/[\w./-]*\w", text)
        if not [*ROOT.glob(page), *ROOT.glob(f"{page}-*.md")]
    ]
    assert not missing


def test_the_changelog_starts_with_what_is_coming() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
