"""What a GraphQL operation carries: the use cases' context and its loaders."""

from __future__ import annotations

from functools import cached_property

from strawberry.types import Info as StrawberryInfo

from core.context import Context
from schema.loaders import Loaders
from schema.reading_budget import FACTOR, ReadingBudget


class GraphQLContext:
    """The context of one operation, or of a group of subscriptions that share their answers."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.loaders = Loaders(ctx)

    @cached_property
    def budget(self) -> ReadingBudget:
        """How many readings the operation may still bring."""
        return ReadingBudget(FACTOR * self.ctx.policy.series_points_max)

    def renew(self) -> None:
        """Start the next answer of a subscription: each has a budget of its own."""
        self.__dict__.pop("budget", None)


Info = StrawberryInfo[GraphQLContext, None]
"""What resolvers get as `info`."""
