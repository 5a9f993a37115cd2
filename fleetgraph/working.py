"""The workers of a process: which there are, and what each needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from core.broker_figures import SYS_FILTER
from core.context import Context
from core.gateways import BrokerDriver
from core.mqtt_topics import SUBSCRIPTIONS
from fleetgraph.brokers import BrokerPlan
from fleetgraph.services import Services
from resolvers.agents import sweep_offline
from resolvers.device_logs import purge_logs
from resolvers.sessions import purge_ended_sessions
from resolvers.update_progress import sweep_agent_updates
from workers import audit_chain, mail, retention, sessions
from workers.access_changes import AccessChanges
from workers.audit_chain import AuditChain
from workers.broker_accounts import BrokerAccounts
from workers.broker_messages import BrokerMessages
from workers.broker_watch import BrokerWatch
from workers.former_session import InheritingLink
from workers.ingest import Ingest
from workers.mail import OutgoingMails
from workers.mqtt import BrokerLink
from workers.retention import Retention
from workers.sessions import Sessions
from workers.supervisor import Periodic, Worker

LIVENESS_SECONDS = 10.0
PURGE_SECONDS = 3_600.0
NAMES = (
    "ingest",
    "broker-accounts",
    "broker-messages",
    "broker-watch",
    "sessions",
    "liveness",
    "retention",
    "audit-chain",
    "mail",
)


def make_workers(
    services: Services,
    plan: BrokerPlan,
    driver: BrokerDriver,
    names: Iterable[str] = NAMES,
) -> list[Worker]:
    """Return the named workers, in the order in which they start."""
    system = services.system()

    def ingest() -> Worker:
        return Ingest(
            system,
            lambda worker: InheritingLink(
                plan.endpoint, SUBSCRIPTIONS, worker.handle, plan.former_client_id
            ),
        )

    def messages() -> Worker:
        # Any number of processes publish, each under a name of its own.
        client_id = f"{plan.endpoint.client_id}-messages-{services.ids.secret_hex(4)}"
        link = BrokerLink(replace(plan.endpoint, client_id=client_id), durable=False)
        return BrokerMessages(system, link)

    def watch() -> Worker:
        client_id = f"{plan.endpoint.client_id}-watch-{services.ids.secret_hex(4)}"
        endpoint = replace(plan.endpoint, client_id=client_id)
        return BrokerWatch(
            system, lambda it: BrokerLink(endpoint, [SYS_FILTER], it.handle, durable=False)
        )

    makers: dict[str, Callable[[], Worker]] = {
        "ingest": ingest,
        "broker-accounts": lambda: BrokerAccounts(system, driver, [plan.platform], plan.endpoint),
        "broker-messages": messages,
        "broker-watch": watch,
        "sessions": lambda: Periodic(
            "sessions", sessions.PERIOD_SECONDS, Sessions(system, plan.endpoint).step
        ),
        "liveness": lambda: Periodic("liveness", LIVENESS_SECONDS, partial(sweep_offline, system)),
        "retention": lambda: Periodic(
            "retention",
            retention.PERIOD_SECONDS,
            Retention(services.pool, services.clock, services.policy).step,
        ),
        "audit-chain": lambda: Periodic(
            "audit-chain", audit_chain.PERIOD_SECONDS, AuditChain(system).step
        ),
        "mail": lambda: Periodic(
            "mail", mail.PERIOD_SECONDS, OutgoingMails(system, services.mailer).step
        ),
    }
    wanted = set(names)
    beside: dict[str, Worker] = {
        "ingest": AccessChanges(system),
        "liveness": Periodic(
            "agent-updates", LIVENESS_SECONDS, partial(sweep_agent_updates, system)
        ),
        "retention": Periodic("purge", PURGE_SECONDS, partial(_purge, system)),
    }
    found = [make() for name, make in makers.items() if name in wanted]
    return found + [worker for name, worker in beside.items() if name in wanted]


async def _purge(system: Context) -> None:
    """Delete what nobody asks about any more."""
    await purge_ended_sessions(system)
    await purge_logs(system)
