"""uvicorn's HTTP protocol, with a way for a stream to be cut."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fleetgraph.graphql.streams import TRANSPORT


class CuttableProtocol(HttpToolsProtocol):
    """One HTTP connection whose transport the application gets to see."""

    def on_message_begin(self) -> None:
        """Put the transport into the request's scope."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[dict-item]
