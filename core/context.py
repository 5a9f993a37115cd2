"""Everything a use case may need, handed to it as its first argument; nothing reads a global."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.callers import Caller
from core.rate_limits import NoRateLimits

if TYPE_CHECKING:
    from core.clock import Clock
    from core.derived_secrets import DerivedSecrets
    from core.ids import Ids
    from core.live import LiveReadings
    from core.passwords import Passwords
    from core.policy import Policy
    from core.pubsub.base import PubSub
    from core.rate_limits import RateLimiter
    from core.reading_store import ReadingStore
    from core.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Context:
    """Who calls, and the parts of the system the call may use.

    Attributes:
        caller: the resolved identity.
        clock: what time it is.
        ids: new identities and secrets.
        bus: where events are published after commit.
        readings: the store of readings.
        live: readings as they are committed.
        tokens: issues and verifies access tokens.
        secrets: secrets derived from the installation's master secret.
        passwords: hashes and verifies passwords off the event loop.
        policy: limits and public addresses, from the settings.
        request_id: one id through logs, answers and errors.
        remote_address: where the call came from, for the record; empty for workers.
        user_agent: what the client calls itself, for the record.
        limits: counts calls that may not come too often.
    """

    caller: Caller
    clock: Clock
    ids: Ids
    bus: PubSub
    readings: ReadingStore
    live: LiveReadings
    tokens: Tokens
    passwords: Passwords
    secrets: DerivedSecrets
    policy: Policy
    request_id: str = "-"
    remote_address: str = ""
    user_agent: str = ""
    limits: RateLimiter = NoRateLimits()  # noqa: RUF009  (it has no state)

    @property
    def tenant_id(self) -> int:
        """The caller's tenant: the first argument of every query."""
        return self.caller.tenant_id

    def acting_as(self, caller: Caller) -> Context:
        """Return the same context for another caller, once a credential has been checked."""
        return replace(self, caller=caller)
