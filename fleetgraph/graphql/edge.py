"""What every transport of the GraphQL endpoint needs, handed in by the program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from core.callers import Caller
from core.clock import Clock
from core.context import Context
from core.errors import AppError
from core.rate_limits import NoRateLimits, RateLimiter
from fleetgraph.presence import Presence
from fleetgraph.refusals import RefusedCall
from fleetgraph.setting_sections import GraphqlSettings
from schema.execution.engine import Engine
from schema.execution.requests import GraphQLRequest

CallerOf = Callable[[Mapping[str, str], Mapping[str, object] | None], Awaitable[Caller]]
"""Turns headers (names in lower case), and what a WebSocket introduced itself with, into a
caller; raises AppError."""

MakeContext = Callable[[Caller, str, str, str], Context]
"""Makes a context from caller, request id, remote address and user agent."""

ReadRequest = Callable[[object], GraphQLRequest]
"""Reads one request map as parsed from JSON, the allow-list applied; raises AppError."""


OnRefused = Callable[[RefusedCall, AppError], None]
"""Hears of calls that are refused before their operation is known."""


def _hear_nothing(_call: RefusedCall, _error: AppError) -> None:
    """Take no note."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The parts behind the endpoint, the same for all of its transports."""

    engine: Engine
    settings: GraphqlSettings
    caller_of: CallerOf
    make_ctx: MakeContext
    read_request: ReadRequest
    clock: Clock
    body_bytes_max: int
    origins: Sequence[str] = ()
    limits: RateLimiter = field(default_factory=NoRateLimits)
    presence: Presence = field(default_factory=Presence)
    on_refused: OnRefused = _hear_nothing
