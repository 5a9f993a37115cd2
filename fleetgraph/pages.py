"""What a browser sees: GraphiQL, the REST documentation, /account, and the files of them."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard.assets import PATH, load_assets

_FOR_EVER: Final = "public, max-age=31536000, immutable"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
}


def graphiql_page(request: Request) -> Response:
    """Return GraphiQL, or a page that says how to get it where its files were not gathered."""
    return _page("graphiql.html")


def docs_page(request: Request) -> Response:
    """Return the documentation of the REST API, or the same hint."""
    return _page("docs.html")


def account_page(request: Request) -> Response:
    """Return the forms for those who cannot sign in yet; they need no gathered file."""
    return HTMLResponse(load_assets().page("account.html"), headers=_HEADERS)


def page_routes() -> list[BaseRoute]:
    """Return all routes but that of GraphiQL, which shares the endpoint's."""
    return [
        Route("/docs", docs_page, name="docs"),
        Route("/account", account_page, name="account"),
        Route(PATH, _asset, name="assets"),
    ]


def _page(name: str) -> Response:
    assets = load_assets()
    shown = name if assets.is_complete else "missing.html"
    return HTMLResponse(assets.page(shown), headers=_HEADERS)


def _asset(request: Request) -> Response:
    assets = load_assets()
    asset = assets.by_name.get(request.path_params["name"])
    if asset is None:
        return PlainTextResponse("There is no such file.", status_code=404)
    # An older address, from a page of before an update, must not keep what is newer.
    is_current = request.path_params["version"] == assets.version
    headers = {
        "Cache-Control": _FOR_EVER if is_current else "no-cache",
        "Content-Type": asset.media_type,
        "Vary": "Accept-Encoding",
    }
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(asset.plain(), headers=headers)
    return Response(asset.gzipped, headers=headers | {"Content-Encoding": "gzip"})
