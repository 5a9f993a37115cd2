"""What the endpoint says to those who open it without an operation."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from fleetgraph.graphql.http import Page

_HINT: Final = (
    "This is the GraphQL endpoint. Send operations as POST with a JSON body "
    '{"query": "…", "variables": {…}}, or open a WebSocket with the protocol '
    "graphql-transport-ws."
)
_PAGE: Final = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Fleetgraph GraphQL</title>
<body style="font-family: system-ui; max-width: 46rem; margin: 3rem auto; line-height: 1.5">
<h1>Fleetgraph GraphQL</h1>
<p>{_HINT}</p>
<pre>curl URL -H 'Content-Type: application/json' \\
  -H 'Authorization: Bearer TOKEN' \\
  -d '{{"query": "{{ agents {{ totalCount nodes {{ name isOnline }} }} }}"}}'</pre>
<p>The mutation <code>login</code> gives a token. REST is described at
<a href="/openapi.json">/openapi.json</a>.</p>
</body></html>
"""
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
}


def hint(request: Request) -> Response:
    """Say what this address is for, as a page to browsers."""
    return (
        HTMLResponse(_PAGE, headers=_HEADERS)
        if _is_browser(request)
        else JSONResponse({"message": _HINT})
    )


def page_or_hint(page: Page) -> Page:
    """Return what shows browsers the page, and others the hint."""
    return lambda request: page(request) if _is_browser(request) else hint(request)


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
