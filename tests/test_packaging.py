"""The packages have generic names; nobody else may claim them, and the wheel must be whole."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path

import pytest

from dashboard.build import FILES, LICENCES
from tests.dashboard.gathered import require_assets

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
KINDS = {".py", ".sql", ".graphql", ".html", ".js", ".css", ".svg"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_claims(package: str) -> None:
    assert set(packages_distributions().get(package, ["fleetgraph"])) <= {"fleetgraph"}


def test_the_console_script_is_the_command_line() -> None:
    (script,) = entry_points(group="console_scripts", name="fleetgraph")
    assert script.value == "fleetgraph.cli:main"
    assert callable(script.load())


def hatchling(target: str, folder: Path, root: Path = ROOT) -> Path:
    """Build without the network: the web assets are here already."""
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=root,
        check=True,
        capture_output=True,
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """The wheel of this checkout."""
    require_assets()
    return zipfile.Path(hatchling("wheel", tmp_path_factory.mktemp("wheel")))


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
def test_the_pages_are_in_the_wheel_with_all_their_files(wheel: zipfile.Path) -> None:
    pages = {f"dashboard/pages/{path.name}" for path in (ROOT / "dashboard/pages").iterdir()}
    assert "dashboard/pages/graphiql.html" in pages
    gathered = {f"dashboard/static/{name}.gz" for name in FILES}
    assert pages | gathered | {f"dashboard/static/{LICENCES}"} <= files(wheel)


@pytest.mark.slow
def test_nothing_else_is_in_the_wheel(wheel: zipfile.Path) -> None:
    folders = {name.split("/")[0] for name in files(wheel)}
    assert {name for name in folders if not name.endswith(".dist-info")} == set(PACKAGES)
    assert not [name for name in files(wheel) if "__pycache__" in name]


@pytest.mark.slow
def test_the_program_runs_from_the_wheel(wheel: zipfile.Path, tmp_path: Path) -> None:
    zipfile.ZipFile(str(wheel.root.filename)).extractall(tmp_path / "site")
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


@pytest.mark.slow
def test_the_source_distribution_builds_the_same_wheel(
    wheel: zipfile.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = hatchling("sdist", tmp_path / "packed")
    with tarfile.open(packed) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # not before 3.11.4
        archive.extractall(tmp_path / "unpacked")
    (root,) = (tmp_path / "unpacked").iterdir()
    monkeypatch.setenv("PATH", "/nowhere")  # no npm: what was gathered comes along
    again = zipfile.Path(hatchling("wheel", tmp_path / "wheel", root))
    assert files(again) == files(wheel)
