"""The source code as tests see it: which files there are, and what is in them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (
    *("core", "models", "resolvers", "schema"),
    *("rest_compat", "workers", "fleetgraph", "dashboard"),
)


@cache
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a checkout")
    return tuple(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())


@cache
def product() -> tuple[str, ...]:
    return tuple(n for n in tracked() if n.endswith(".py") and n.split("/")[0] in PACKAGES)


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def at_home(name: str, homes: tuple[str, ...]) -> bool:
    return any(name.startswith(home) if home.endswith("/") else name == home for home in homes)


def imports(module: ast.Module) -> Iterator[str]:
    """Yield the top-level packages that are imported, wherever in the file."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for such an expression, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (front := dotted(node.value)):
        return f"{front}.{node.attr}"
    return ""


def texts() -> Iterator[tuple[str, str]]:
    for name in tracked():
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
