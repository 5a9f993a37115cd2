from __future__ import annotations

from dataclasses import replace

import pytest

from core.context import Context
from core.tokens import Tokens
from tests.conftest import TEST_SECRET
from tests.doubles import ManualClock
from tests.resolvers.edge import nobody


@pytest.fixture
def clock(ctx: Context) -> ManualClock:
    return ManualClock(ctx.clock.now())


@pytest.fixture
def timed(ctx: Context, clock: ManualClock) -> Context:
    """The context of nobody, by a clock that moves when told to."""
    return replace(nobody(ctx), clock=clock, tokens=Tokens(TEST_SECRET, clock))
