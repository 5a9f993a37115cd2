"""The packages have generic names; nobody else may claim them, and the wheel must be whole."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "core",
    "models",
    "resolvers",
    "schema",
    "rest_compat",
    "workers",
    "fleetgraph",
    "dashboard",
)
KINDS = {".py", ".sql", ".graphql"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_claims(package: str) -> None:
    assert set(packages_distributions().get(package, ["fleetgraph"])) <= {"fleetgraph"}


def test_the_console_script_is_the_command_line() -> None:
    (script,) = entry_points(group="console_scripts", name="fleetgraph")
    assert script.value == "fleetgraph.cli:main"
    assert callable(script.load())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """The wheel, built without the network."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return zipfile.Path(built)


def files(wheel: zipfile.Path) -> set[str]:
    return set(wheel.root.namelist())


@pytest.mark.slow
def test_everything_that_runs_is_in_the_wheel(wheel: zipfile.Path) -> None:
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in KINDS and "__pycache__" not in path.parts
    }
    assert {"models/timeseries/sql/latest.sql", "rest_compat/rest.graphql"} <= wanted
    assert wanted <= files(wheel)


@pytest.mark.slow
def test_nothing_else_is_in_the_wheel(wheel: zipfile.Path) -> None:
    folders = {name.split("/")[0] for name in files(wheel)}
    assert {name for name in folders if not name.endswith(".dist-info")} == set(PACKAGES)
    assert not [name for name in files(wheel) if "__pycache__" in name]


@pytest.mark.slow
def test_the_program_runs_from_the_wheel(wheel: zipfile.Path, tmp_path: Path) -> None:
    wheel.root.extractall(tmp_path / "site")
    # -P and another folder: nothing of the checkout can help out.
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r});"
        "from fleetgraph.cli import main; import schema.root as r; print(r.__file__);"
        "main(['openapi'])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    where, _, document = done.stdout.partition("\n")
    assert where.startswith(str(tmp_path))
    assert document.startswith('{\n  "openapi": "3.1')
