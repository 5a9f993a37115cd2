"""A tenant with one of everything, and everybody who may come with a credential of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from core.access import SCOPES, Permission
from core.audit import AuditEntry, AuditType
from core.callers import NOBODY, Caller, Role
from core.context import Context
from core.endpoint_health import read_health
from models.agents import Agent
from models.audit import append_audit
from models.connection import fetch
from models.current_states import CurrentState
from models.endpoint_health import HISTORY, put_health
from models.fleets import Fleet, FleetType
from models.invitations import Invitation
from models.mqtt_accounts import put_account
from models.open_days import open_day
from models.password_resets import put_password_reset
from models.target_states import TargetState
from models.target_versions import put_version
from models.timeseries.partitions import WIDTHS
from models.unit_of_work import Work
from models.users import User
from resolvers.accounts import create_invitation
from resolvers.agent_events import record_agent_event
from resolvers.agent_updates import UpdateWish, request_agent_update
from resolvers.api_keys import create_api_key
from resolvers.auth import login
from resolvers.current_states import report_metrics
from resolvers.device_logs import upload_logs
from resolvers.endpoint_sync import note_target
from resolvers.provisioning_keys import create_provisioning_key
from tests.contracts import tenant_rows
from tests.contracts.broker_things import BrokerThings, broker_things
from tests.contracts.newcomer import Newcomer
from tests.contracts.serving import Api, give_key, sign_in
from tests.factories import make_agent, make_tenant, make_user
from tests.schema.asking import as_agent, record

PASSWORD = "correct horse battery"
PEOPLE = (Role.OWNER, Role.ADMIN, Role.MANAGER, Role.OPERATOR, Role.VIEWER)


@dataclass(frozen=True)
class Visitor:
    """Somebody who calls: a name for the tables, headers, and who that is to the program."""

    name: str
    headers: Mapping[str, str]
    caller: Caller


@dataclass(kw_only=True)
class Tenancy:
    """A tenant and its things; all its texts carry `mark`.

    `authorizations` are by role; `spare` is a viewer for whatever is done to somebody. `newcomer` has
    registered and not proven itself, `stranger` has not come yet. `api_keys` are of the owner, one
    for each scope, `whole_api_key` has them all.
    """

    ctx: Context
    mark: str
    authorizations: dict[Role, str]
    spare: User
    session_id: UUID
    refresh_token: str
    agent: Agent
    agent_update_id: UUID
    device_key: str
    fleet: Fleet
    provisioning_key: str
    provisioning_key_id: UUID
    newcomer: Newcomer
    stranger: Newcomer
    invitation: Invitation
    invitation_token: str
    reset_token: str
    api_key_id: UUID
    api_keys: dict[Permission, str]
    whole_api_key: str
    broker: BrokerThings

    @property
    def uuid(self) -> str:
        """The agent's uuid, as it is sent."""
        return str(self.agent.uuid)

    async def visitors(self) -> list[Visitor]:
        """Return everybody: nobody, the device, the five roles, an API key of each scope."""
        return await self._introduced(
            {
                "nobody": {},
                "device": {"x-device-api-key": self.device_key},
                **{role: {"authorization": self.authorizations[role]} for role in PEOPLE},
                **{scope: {"authorization": f"Bearer {self.api_keys[scope]}"} for scope in SCOPES},
            }
        )

    async def walkers(self) -> list[Visitor]:
        """Return those who may do most: the owner, an API key with all scopes, the device."""
        return await self._introduced(
            {
                "the owner": {"authorization": self.authorizations[Role.OWNER]},
                "an API key": {"authorization": f"Bearer {self.whole_api_key}"},
                "a device": {"x-device-api-key": self.device_key},
            }
        )

    async def _introduced(self, credentials: Mapping[str, dict[str, str]]) -> list[Visitor]:
        api = Api(self.ctx)
        return [
            Visitor(name, headers, await api.graphql_caller(headers, None))
            for name, headers in credentials.items()
        ]


async def another_tenant(ctx: Context) -> Context:
    """Return a context of the owner of a new tenant."""
    tenant = await make_tenant(ctx.clock, ctx.ids)
    return replace(ctx, caller=Caller(Role.OWNER, tenant.id, user_id=ctx.ids.uuid()))


async def furnish(ctx: Context, letter: str) -> Tenancy:
    """Give the context's tenant one of everything."""
    mark = f"of{letter}-{ctx.ids.secret_hex(4)}"
    people, authorizations = {}, {}
    for role in PEOPLE:
        who = {"username": f"{role}-{mark}", "email": f"{role}.{mark}@example.com"}
        people[role], authorizations[role] = await sign_in(ctx, role=role, full_name=mark, **who)
    owner = people[Role.OWNER]
    ctx = ctx.acting_as(replace(ctx.caller, user_id=owner.id))
    await _name_tenant(ctx, mark)
    spare = await make_user(
        ctx, PASSWORD, username=f"spare-{mark}", email=f"spare.{mark}@example.com", full_name=mark
    )
    session = await login(ctx.acting_as(NOBODY), spare.username, PASSWORD)
    assert session.refresh_token
    fleet = await _fleet(ctx, mark)
    agent = await make_agent(
        ctx,
        name=f"agent {mark}",
        fleet_id=fleet.id,
        tags={"site": mark},
        location=mark,
        ip_address=mark,
        is_online=True,
        last_seen_at=ctx.clock.now(),
    )
    key = await create_provisioning_key(ctx, description=mark, agents_max=50, fleet_uuid=fleet.id)
    newcomer = Newcomer(ctx, f"new {mark}")
    await newcomer.register(ctx, key.key)
    invited = await create_invitation(ctx, f"guest.{mark}@example.com", Role.VIEWER)
    reset_token, now = ctx.ids.secret(), ctx.clock.now()
    await put_password_reset(ctx.tenant_id, spare.id, reset_token, now, now + timedelta(hours=1))
    api_keys = {
        scope: (await create_api_key(ctx, f"{scope} {mark}", scopes=[scope])).text
        for scope in SCOPES
    }
    whole_api_key = await create_api_key(ctx, f"whole {mark}", description=mark, scopes=SCOPES)
    device_key = await give_key(ctx, agent)
    await _history(ctx, agent, mark)
    update = await request_agent_update(ctx, agent.uuid, UpdateWish("1.0.600"))
    broker = await broker_things(ctx, mark)
    await _rest(ctx, agent, spare, mark)
    return Tenancy(
        ctx=ctx,
        mark=mark,
        authorizations=authorizations,
        spare=spare,
        session_id=session.session_id,
        refresh_token=session.refresh_token,
        agent=agent,
        agent_update_id=update.id,
        device_key=device_key,
        fleet=fleet,
        provisioning_key=key.key,
        provisioning_key_id=key.row.id,
        newcomer=newcomer,
        stranger=Newcomer(ctx, f"stranger {mark}"),
        invitation=invited.row,
        invitation_token=invited.token,
        reset_token=reset_token,
        api_key_id=whole_api_key.id,
        api_keys=api_keys,
        whole_api_key=whole_api_key.text,
        broker=broker,
    )


async def _name_tenant(ctx: Context, mark: str) -> None:
    await fetch("update tenant set name = $2 where id = $1", ctx.tenant_id, f"tenant {mark}")


async def _fleet(ctx: Context, mark: str) -> Fleet:
    now = ctx.clock.now()
    return await Fleet.create(
        id=ctx.ids.uuid(),
        tenant_id=ctx.tenant_id,
        name=f"fleet {mark}",
        type=FleetType.MIXED,
        environment=mark,
        location=mark,
        description=mark,
        tags={"line": mark},
        created_at=now,
        updated_at=now,
    )


async def _history(ctx: Context, agent: Agent, mark: str) -> None:
    """Write what an agent leaves: states, readings, logs, events, a broker account, the record."""
    now = ctx.clock.now()
    state: dict[str, Any] = {
        "tenant_id": ctx.tenant_id,
        "agent_id": agent.id,
        "version": 2,
        "apps": {"1": {"appName": mark, "services": [{"serviceName": "web"}]}},
    }
    draft: dict[str, Any] = {"draft_apps": {}, "draft_config": {"of": mark}, "draft_of": 2}
    draft |= {"draft_at": now, "updated_at": now, "updated_by": ctx.caller.user_id}
    config = {"of": mark, "endpoints": [_endpoint(ctx, mark)]}
    target = await TargetState.create(**state, **draft, config=config, etag="e")
    await note_target(ctx, Work(), agent, {}, config)
    await open_day(HISTORY, now)
    health = read_health({mark: {"protocol": "mqtt", "status": mark}})
    await put_health(ctx.tenant_id, agent.id, health, now)
    await put_version(target, mark, mark, keep=9)
    await fetch(
        "insert into target_state_version select tenant_id, agent_id, 1, '{}', config, 'e', created_at,"
        " created_by, author, comment from target_state_version where tenant_id = $1 and agent_id = $2",
        ctx.tenant_id,
        agent.id,
    )
    await CurrentState.create(**state, config={"of": mark}, extra={"of": mark}, reported_at=now)
    at = [now - timedelta(seconds=second) for second in range(3)]
    await record(ctx, agent, f"temp {mark}", [(time, 1.5) for time in at], device=mark, unit=mark)
    await record(ctx, agent, f"state {mark}", [(time, mark) for time in at], device=mark)
    own = as_agent(ctx, agent)
    line = {"message": mark, "serviceName": mark}
    await upload_logs(own, agent.uuid, f"batch {mark}", json.dumps(line).encode())
    await report_metrics(own, {"cpu_usage": 1, "top_processes": [mark]})
    await record_agent_event(own, "events/anomaly", b'{"of": "%s"}' % mark.encode(), retained=False)
    await put_account(ctx.tenant_id, f"{mark}/a/{mark}", "-", agent.id, now)
    entry = AuditEntry(
        AuditType.DEVICE_UPDATED, f"agent:{agent.uuid}", details={"of": mark}, agent_uuid=agent.uuid
    )
    await append_audit(ctx, [entry])


def _endpoint(ctx: Context, mark: str) -> dict[str, Any]:
    """Return a sensor whose login can be made anew."""
    connection = {"topic": f"i/{mark}/a/{mark}/d/{mark}", "of": mark}
    names = {"name": mark, "protocol": "mqtt"}
    return {"uuid": str(ctx.ids.uuid()), "connection": connection, **names}


async def _rest(ctx: Context, agent: Agent, spare: User, mark: str) -> None:
    """Fill what is still empty, whatever it is."""
    known: dict[str, object] = {
        "tenant_id": ctx.tenant_id,
        "agent_id": agent.id,
        "agent_uuid": agent.uuid,
        "user_id": spare.id,
        "kind": "rules_differ",  # of broker_drift: the one text that is an enum
    }
    for table in await tenant_rows.empty_tables(ctx.tenant_id):
        if table in WIDTHS:
            await open_day(table, ctx.clock.now())
        await tenant_rows.fill(table, known, mark, ctx.clock.now(), ctx.ids)
