"""Why a WebSocket is closed: one code per reason.

| Code | Name | When |
| --- | --- | --- |
| 1001 | going away | the server stops; connect again |
| 1007 | not text | a text frame is not UTF-8 |
| 1009 | too big | a message is larger than the limit for bodies |
| 1011 | failure | something went wrong on our side |
| 1013 | try again later | a credential could not be judged, the database is away; or too many calls |
| 4400 | invalid message | not JSON, not an object, unknown type, a member missing or of a wrong type |
| 4401 | unauthorized | `subscribe` before `connection_ack` |
| 4403 | forbidden | the credential does not hold, or ended while the socket was open |
| 4406 | subprotocol | the client does not offer `graphql-transport-ws` |
| 4408 | initialisation time-out | no `connection_init` in time |
| 4409 | subscriber exists | an id that is still active is used again |
| 4429 | too many initialisations | a second `connection_init` |
| 4430 | too slow | the client took nothing for too long while events waited for it |

4430 is our own, the others are those of WebSocket and of graphql-transport-ws. Clients of the latter connect
again by themselves after 1001, 1013, 4403, 4408 and 4430, and report the others. More subscriptions than a
connection may have are answered with an `error` message for the id; the connection stays open. A client that
answers no ping is cut without a code. Before the handshake, a page of another origin gets 403, and 503 tells
that the process has as many sockets as it may have.
"""

from __future__ import annotations

from enum import IntEnum

REASON_BYTES_MAX = 123
"""What a close frame has room for."""


class CloseCode(IntEnum):
    """The code in a close frame."""

    GOING_AWAY = 1001
    FAILURE = 1011
    TRY_AGAIN_LATER = 1013
    INVALID_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INITIALISATION_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_INITIALISATIONS = 4429
    TOO_SLOW = 4430


class Violation(Exception):
    """What a client did that ends its connection."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def fitting(reason: str) -> str:
    """Return the reason, cut to what a close frame has room for."""
    return reason.encode(errors="replace")[:REASON_BYTES_MAX].decode(errors="ignore")
