from __future__ import annotations

import re
from pathlib import Path

import pytest

from dashboard.assets import load_assets
from dashboard.build import FILES, LICENCES, STATIC
from tests.dashboard.gathered import require_assets

PAGES = STATIC.parent / "pages"
LINK = re.compile(r'(?:src|href)="([^"]+)"')
IMPORT = re.compile(r'^import .* from "([^"]+)";$', re.MULTILINE)


@pytest.mark.parametrize("page", ["graphiql.html", "docs.html", "account.html", "missing.html"])
def test_a_page_names_files_of_this_version_only(page: str) -> None:
    require_assets()
    assets = load_assets()
    links = LINK.findall(assets.page(page))
    ours = [link for link in links if link.startswith(f"/assets/{assets.version}/")]
    assert ours
    assert {link.rpartition("/")[2] for link in ours} <= set(assets.by_name)
    assert set(links) - set(ours) <= {"/graphql", "/docs", "/openapi.json"}


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.js")), ids=lambda path: path.name)
def test_our_scripts_import_neighbours(path: Path) -> None:
    for name in IMPORT.findall(path.read_text(encoding="utf-8")):
        assert (PAGES / name).is_file()


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.html")), ids=lambda path: path.name)
def test_our_pages_hold_no_code_that_the_policy_forbids(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"<style|style=|\bon\w+=|<script(?![^>]*src=)", text)
    assert "://" not in text


def test_files_of_packages_are_all_there_with_their_licences() -> None:
    require_assets()
    assets = load_assets()
    assert assets.is_complete
    assert set(FILES) <= set(assets.by_name)
    assert b"GraphiQL" in assets.by_name["graphiql.js"].plain()
    licences = assets.by_name[LICENCES].plain().decode()
    for package in ("graphiql 3", "react 18", "swagger-ui-dist 5", "codemirror 5"):
        assert f"\n{package}." in licences
    assert "MIT License" in licences
