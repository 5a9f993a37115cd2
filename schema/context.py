"""What a GraphQL operation carries: the use cases' context and its loaders."""

from __future__ import annotations

from strawberry.types import Info as StrawberryInfo

from core.context import Context
from schema.loaders import Loaders


class GraphQLContext:
    """The context of one operation, or of a group of subscriptions that share their answers."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.loaders = Loaders(ctx)


Info = StrawberryInfo[GraphQLContext, None]
"""What resolvers get as `info`."""
