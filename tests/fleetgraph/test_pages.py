from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from dashboard.assets import Assets, load_assets
from dashboard.build import FILES
from fleetgraph import pages
from fleetgraph.app import the_catalog
from fleetgraph.pages import graphiql_page, page_routes
from tests.dashboard.gathered import require_assets


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = Starlette(routes=[Route("/graphql", graphiql_page), *page_routes()])
    with TestClient(app) as made:
        yield made


@pytest.fixture
def assets() -> Assets:
    require_assets()
    return load_assets()


@pytest.mark.parametrize(
    ("path", "title"),
    [("/graphql", "GraphQL"), ("/docs", "REST API"), ("/account", "Account")],
)
def test_a_page_is_never_kept_and_loads_from_here_only(
    client: TestClient, assets: Assets, path: str, title: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<title>Fleetgraph {title}</title>" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "://" not in policy
    assert "{{" not in answer.text


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("ide.js", "text/javascript; charset=utf-8"),
        ("pages.css", "text/css; charset=utf-8"),
        ("graphiql.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("LICENSES.txt", "text/plain; charset=utf-8"),
    ],
)
def test_a_file_of_this_version_may_be_kept_for_ever(
    client: TestClient, assets: Assets, name: str, media_type: str
) -> None:
    answer = client.get(f"/assets/{assets.version}/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert "immutable" in answer.headers["cache-control"]
    plain = client.get(f"/assets/{assets.version}/{name}", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == answer.content


def test_a_file_of_another_version_is_not_kept(client: TestClient) -> None:
    answer = client.get("/assets/before/ide.js")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["missing.js", "graphiql.html", "..%2F__init__.py"])
def test_there_are_no_other_files(client: TestClient, name: str) -> None:
    assert client.get(f"/assets/{load_assets().version}/{name}").status_code == 404


@pytest.mark.parametrize("path", ["/graphql", "/docs"])
def test_says_how_to_get_the_files_when_they_were_not_gathered(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    whole = load_assets()
    ours = {name: asset for name, asset in whole.by_name.items() if name != "graphiql.js"}
    monkeypatch.setattr(pages, "load_assets", lambda: replace(whole, by_name=ours))
    answer = client.get(path)
    assert answer.status_code == 200
    assert "make assets" in answer.text
    assert "<script" not in answer.text


def test_the_account_page_needs_no_gathered_files(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_assets()
    ours = {name: asset for name, asset in whole.by_name.items() if name not in FILES}
    monkeypatch.setattr(pages, "load_assets", lambda: replace(whole, by_name=ours))
    text = client.get("/account").text
    names = re.findall(rf'"/assets/{whole.version}/([^"]+)"', text)
    assert "account.js" in names
    assert set(names) <= set(ours)


def test_the_forms_of_an_account_post_to_the_api_with_its_names(client: TestClient) -> None:
    text = client.get("/account").text
    forms = re.findall(r'<form method="post" action="([^"]+)"(.+?)</form>', text, re.DOTALL)
    found = {path: set(re.findall(r' name="(\w+)"', form)) for path, form in forms}
    for path, names in found.items():
        (endpoint,) = (each for each in the_catalog().endpoints if each.path == path)
        assert names == {item.name for item in endpoint.inputs}
    assert len(found) == 3


def test_both_pages_link_to_each_other(client: TestClient, assets: Assets) -> None:
    assert 'href="/docs"' in client.get("/graphql").text
    assert 'href="/graphql"' in client.get("/docs").text


def test_the_account_page_and_the_bar_to_sign_in_link_to_each_other(client: TestClient) -> None:
    text = client.get("/account").text
    assert 'href="/graphql"' in text
    assert 'href="/docs"' in text
    version = load_assets().version
    assert '"/account"' in client.get(f"/assets/{version}/session.js").text
