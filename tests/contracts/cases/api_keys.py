"""API keys."""

from __future__ import annotations

from tests.contracts.cases.world import Case, nothing

CASES: dict[str, Case] = {
    "ListApiKeys": nothing,
    "CreateApiKey": lambda _: {"json": {"name": "historian", "scopes": ["data:read"]}},
    "RevokeApiKey": lambda world: {"path": {"id": world.answered["CreateApiKey"]["key"]["id"]}},
}

ORDER = ("CreateApiKey", "RevokeApiKey")
