"""Everything a process of ours has open, and how it is closed again: the composition root."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from core import metrics
from core.callers import NOBODY, Caller, system_caller
from core.clock import Clock, SystemClock
from core.context import Context
from core.derived_secrets import DerivedSecrets
from core.gateways import Mailer
from core.ids import Ids, RandomIds
from core.passwords import Passwords
from core.policy import BrokerAddress, Policy, Registration
from core.pubsub.base import PubSub
from core.pubsub.memory import MemoryPubSub
from core.pubsub.redis import RedisPubSub
from core.rate_limits import RateLimiter
from core.tokens import Tokens
from fleetgraph.brokers import platform_usernames
from fleetgraph.limits import open_limiter
from fleetgraph.mailing import make_mailer
from fleetgraph.settings import Settings
from fleetgraph.token_keys import tokens_of
from models.database import DatabaseUrl, close_rows, open_pool, open_rows
from models.notifications import PostgresPubSub
from models.timeseries.live import JournalHub
from models.timeseries.store import PostgresReadingStore


@dataclass(frozen=True, slots=True)
class Services:
    """The open parts, from which contexts are made."""

    clock: Clock
    ids: Ids
    bus: PubSub
    pool: asyncpg.Pool
    readings: PostgresReadingStore
    live: JournalHub
    tokens: Tokens
    passwords: Passwords
    secrets: DerivedSecrets
    policy: Policy
    limits: RateLimiter
    data_dir: Path
    mailer: Mailer

    def context(
        self,
        caller: Caller = NOBODY,
        request_id: str = "-",
        remote_address: str = "",
        user_agent: str = "",
    ) -> Context:
        """Return a context for one call."""
        return Context(
            caller=caller,
            clock=self.clock,
            ids=self.ids,
            bus=self.bus,
            readings=self.readings,
            live=self.live,
            tokens=self.tokens,
            passwords=self.passwords,
            secrets=self.secrets,
            policy=self.policy,
            request_id=request_id,
            remote_address=remote_address,
            user_agent=user_agent,
            limits=self.limits,
        )

    def system(self) -> Context:
        """Return a context for the program's own work over all tenants."""
        return self.context(system_caller(0), request_id="system")


@asynccontextmanager
async def open_services(
    settings: Settings,
    url: DatabaseUrl,
    *,
    secret: str,
    data_dir: Path,
    broker: BrokerAddress,
    alone: bool,
    is_demo: bool = False,
) -> AsyncIterator[Services]:
    """Open what a process needs; closes it in reverse order.

    `alone` says that this process is the whole system, so that the bus can stay in memory.
    `is_demo` lets everybody register, unless the settings say otherwise.
    """
    clock = SystemClock()
    tokens = tokens_of(settings, secret, clock)
    policy = policy_of(settings, broker, is_demo=is_demo)
    async with AsyncExitStack() as stack:
        await open_rows(url, pool_size=settings.database.pool_size)
        stack.push_async_callback(close_rows)
        pool = await open_pool(url, min_size=2, max_size=settings.database.readings_pool_size)
        stack.push_async_callback(_close_pool, pool)
        bus = _bus(settings, url, alone=alone)
        await bus.start()
        stack.push_async_callback(bus.stop)
        store = PostgresReadingStore(pool, clock, policy)
        hub = JournalHub(pool, bus, store.catalog, policy)
        stack.push_async_callback(hub.stop)
        metrics.LIVE_LISTENERS.set_function(lambda: hub.listener_count)
        secrets = DerivedSecrets(secret)
        limiter = open_limiter(settings, clock, secrets)
        stack.push_async_callback(limiter.close)
        yield Services(
            clock=clock,
            ids=RandomIds(),
            bus=bus,
            pool=pool,
            readings=store,
            live=hub,
            tokens=tokens,
            passwords=Passwords(),
            secrets=secrets,
            policy=policy,
            limits=limiter,
            data_dir=data_dir,
            mailer=make_mailer(settings.mail, clock, data_dir),
        )


def policy_of(settings: Settings, broker: BrokerAddress, *, is_demo: bool = False) -> Policy:
    """Return the limits and addresses in the settings."""
    unless_told = Registration.OPEN if is_demo else Registration.INVITATION
    http, update_secret = settings.http, settings.agent.update_secret
    return Policy(
        broker=broker,
        broker_usernames=platform_usernames(settings),
        agent_update_secret=update_secret.get_secret_value() if update_secret else None,
        online_window_seconds=settings.agent.online_window_seconds,
        clock_past_days_max=settings.agent.clock_past_days_max,
        clock_future_hours_max=settings.agent.clock_future_hours_max,
        journal_hours=settings.retention.journal_hours,
        audit_days=settings.retention.audit_days,
        agent_metrics_days=settings.retention.agent_metrics_days,
        logs_days=settings.retention.logs_days,
        target_state_versions=settings.retention.target_state_versions,
        adapter_history_days=settings.retention.adapter_history_days,
        state_history_days=settings.retention.state_history_days,
        registration=Registration(settings.account.registration or unless_told),
        session_seconds=settings.token.session_days * 86_400,
        refresh_retry_seconds=settings.token.retry_seconds,
        reset_seconds=settings.account.reset_minutes * 60,
        invitation_seconds=settings.account.invitation_days * 86_400,
        public_url=(http.public_url or f"http://{http.host}:{http.port or 3002}").rstrip("/"),
    )


def _bus(settings: Settings, url: DatabaseUrl, *, alone: bool) -> PubSub:
    if settings.redis.url is not None:
        return RedisPubSub(settings.redis.url.get_secret_value())
    return MemoryPubSub() if alone else PostgresPubSub(url)


async def _close_pool(pool: asyncpg.Pool) -> None:
    # A connection that hangs on a dead server must not hold up the end of the program.
    pool.terminate()
