"""Many answers as server-sent events, the way of graphql-sse with one connection for each."""

from __future__ import annotations


class Sse:
    """https://github.com/enisdenjo/graphql-sse, protocol "distinct connections mode"."""

    content_type = b"text/event-stream; charset=utf-8"
    opening = b":\n\n"  # some browsers see no answer before its first bytes
    heartbeat = b":\n\n"
    closing = b"event: complete\ndata: \n\n"  # without data browsers drop an event

    @staticmethod
    def item(payload: bytes) -> bytes:
        """Return the event of one answer."""
        return b"event: next\ndata: %s\n\n" % payload

    def failure(self, payload: bytes) -> bytes:
        """Return the end of a stream that must not go on: a last answer says why."""
        return self.item(payload) + self.closing

    def interruption(self, payload: bytes) -> bytes:
        """Return the end of a stream that may be taken up again: nothing completes it."""
        return b""
