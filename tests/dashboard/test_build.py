"""The gathering itself; npm is a script that makes the packages, so no network is needed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from dashboard import build as ours

NPM = f"""#!{sys.executable}
import json, pathlib, sys
assert sys.argv[1:3] == ["ci", "--ignore-scripts"]
assert json.loads(pathlib.Path("package-lock.json").read_text())
pathlib.Path("called").touch()
for name in {json.dumps(sorted(ours.FILES.values()))}:
    path = pathlib.Path("node_modules", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("the text of " + name)
pathlib.Path("node_modules/react/LICENSE").write_text("as you like")
"""


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module in a copy of its folder, with our npm first on the path."""
    folder = tmp_path / "dashboard"
    ignored = shutil.ignore_patterns("static", "__pycache__")
    shutil.copytree(ours.FOLDER, folder, ignore=ignored)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "npm").write_text(NPM)
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    spec = spec_from_file_location("build_of_a_copy", folder / "build.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_gathers_each_file_and_its_licence(build: ModuleType) -> None:
    assert not build.is_current()
    build.gather()
    assert build.is_current()
    packed = (build.STATIC / "react.js.gz").read_bytes()
    assert gzip.decompress(packed) == b"the text of react/umd/react.production.min.js"
    assert "as you like" in (build.STATIC / build.LICENCES).read_text()


def test_gathers_the_same_bytes_each_time(build: ModuleType) -> None:
    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in build.STATIC.iterdir()}

    build.gather()
    first = content()
    build.gather()
    assert content() == first


@pytest.mark.parametrize("name", ["package-lock.json", "build.py"])
def test_is_out_of_date_when_its_source_changed(build: ModuleType, name: str) -> None:
    build.gather()
    source = build.FOLDER / name
    source.write_text(source.read_text() + "\n")
    assert not build.is_current()


def test_keeps_what_there_was_when_npm_fails(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.gather()
    failing = Path(os.environ["PATH"].split(os.pathsep)[0]) / "npm"
    failing.write_text("#!/bin/sh\necho the registry is away >&2\nexit 1\n")
    with pytest.raises(build.GatheringFailed, match="the registry is away"):
        build.gather()
    assert (build.STATIC / "react.js.gz").exists()


def test_asks_for_node_only_where_it_is_needed(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build.needs() == []
    monkeypatch.setenv("PATH", "/nowhere")
    assert build.needs() == [build.NODE_WHEEL]
    with pytest.raises(build.GatheringFailed, match=r"there is no npm here"):
        build.gather()


def test_the_lock_names_no_address_and_proves_each_package() -> None:
    lock = json.loads((ours.FOLDER / "package-lock.json").read_text(encoding="utf-8"))
    packages = {place: facts for place, facts in lock["packages"].items() if place}
    assert len(packages) > 50
    assert not [place for place, facts in packages.items() if "resolved" in facts]
    assert not [place for place, facts in packages.items() if "integrity" not in facts]
