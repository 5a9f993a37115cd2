"""API keys made with an API key: they end with it."""

from __future__ import annotations

import pytest

from core.context import Context
from core.errors import Unauthenticated
from resolvers import api_keys
from tests.resolvers.test_api_keys import come_in, person


async def test_one_made_with_a_key_ends_with_that_key(ctx: Context) -> None:
    owner, _ = await person(ctx)
    first = await api_keys.create_api_key(
        owner, "first", scopes=["api-key:create", "data:read"], expires_in_days=30
    )
    key = await come_in(ctx, first)
    assert (await api_keys.create_api_key(key, "same")).expires_at == first.expires_at
    later = await api_keys.create_api_key(key, "later", expires_in_days=60)
    assert later.expires_at == first.expires_at
    sooner = await api_keys.create_api_key(key, "sooner", expires_in_days=1)
    assert first.expires_at is not None
    assert sooner.expires_at is not None
    assert sooner.expires_at < first.expires_at


async def test_those_made_with_a_key_go_with_it(ctx: Context) -> None:
    owner, _ = await person(ctx)
    first = await api_keys.create_api_key(owner, "first", scopes=["api-key:create"])
    child = await api_keys.create_api_key(
        await come_in(ctx, first), "child", scopes=["api-key:create"]
    )
    grandchild = await api_keys.create_api_key(
        await come_in(ctx, child), "grandchild", scopes=["api-key:create"]
    )
    beside = await api_keys.create_api_key(owner, "beside", scopes=["api-key:create"])
    await api_keys.revoke_api_key(ctx, first.id)
    for gone in (first, child, grandchild):
        with pytest.raises(Unauthenticated):
            await come_in(ctx, gone)
    await come_in(ctx, beside)
