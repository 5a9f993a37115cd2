"""The keys of access tokens as the settings say, and where others find the public ones."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.clock import Clock
from core.token_keys import BadKeys, TokenKeys
from core.tokens import Tokens
from fleetgraph.settings import BadSettings, Settings

JWKS_PATH: Final = "/.well-known/jwks.json"
_CACHE_SECONDS: Final = 300


def tokens_of(settings: Settings, secret: str, clock: Clock) -> Tokens:
    """Return what issues and verifies access tokens; raises BadSettings for keys of no use."""
    chosen = settings.token
    if chosen.algorithm == "HS256":
        keys = TokenKeys.of_secret(secret)
    elif chosen.keys_dir is None:
        problem = f"FLEETGRAPH_TOKEN_KEYS_DIR: needed, as the algorithm is {chosen.algorithm}"
        raise BadSettings([problem])
    else:
        try:
            keys = TokenKeys.of_folder(chosen.keys_dir, chosen.algorithm)
        except BadKeys as error:
            raise BadSettings([f"FLEETGRAPH_TOKEN_KEYS_DIR: {error}"]) from None
    return Tokens(keys, clock, ttl_seconds=chosen.ttl_seconds)


def jwks_route(tokens: Tokens) -> Route:
    """Return the route of the public keys, by which others verify access tokens."""
    document = {"keys": tokens.published_keys()}
    headers = {"Cache-Control": f"public, max-age={_CACHE_SECONDS}"}

    async def jwks(request: Request) -> Response:
        return JSONResponse(document, headers=headers)

    return Route(JWKS_PATH, jwks, name="jwks")
