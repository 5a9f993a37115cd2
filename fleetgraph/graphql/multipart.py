"""Many answers as parts of one, the way of Apollo's clients and routers."""

from __future__ import annotations

_BOUNDARY = b"\r\n--graphql"


class Multipart:
    """The multipart protocol for subscriptions, version 1.0.

    A part is whole for its reader when the boundary after it has come. So each boundary is
    written with the part before it, and never waits for the next answer.
    """

    content_type = b'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"'
    opening = _BOUNDARY
    heartbeat = b"\r\ncontent-type: application/json\r\n\r\n{}" + _BOUNDARY
    closing = b"--\r\n"

    @staticmethod
    def item(payload: bytes) -> bytes:
        """Return the part of one answer."""
        return _part(b'{"payload":%s}' % payload)

    def failure(self, payload: bytes) -> bytes:
        """Return the end of a stream that must not go on; `payload` has only errors."""
        # Errors beside the payload are those of the transport: clients then give up.
        return _part(b'{"payload":null,%s' % payload[1:]) + self.closing

    def interruption(self, payload: bytes) -> bytes:
        """Return the end of a stream that may be taken up again; `payload` has only errors."""
        return self.failure(payload)


def _part(json: bytes) -> bytes:
    return b"\r\ncontent-type: application/json\r\n\r\n" + json + _BOUNDARY
