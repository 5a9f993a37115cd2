"""What a GraphQL operation carries: the use cases' context and its loaders."""

from __future__ import annotations

from collections.abc import Mapping

from strawberry.types import Info as StrawberryInfo

from core.context import Context
from schema.loaders import Loaders


class GraphQLContext:
    """The context of one HTTP request or of one WebSocket connection.

    `connection_params` is set by the transport when a WebSocket introduces itself; `ctx` is then
    replaced, once the caller is known.
    """

    def __init__(self, ctx: Context, connection_params: Mapping[str, object] | None = None) -> None:
        self.ctx = ctx
        self.connection_params = connection_params
        self.loaders = Loaders(ctx)

    def sign_in(self, ctx: Context) -> None:
        """Go on with another context, once a credential has been checked."""
        self.ctx = ctx
        self.loaders = Loaders(ctx)


Info = StrawberryInfo[GraphQLContext, None]
"""What resolvers get as `info`."""
