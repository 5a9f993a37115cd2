"""What use cases leave in the audit log, and what readers get of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.audit import AuditEntry, AuditType
from core.context import Context
from core.errors import Conflict, InvalidInput, LimitReached, NotFound, Unauthenticated
from models.audit import AuditEvent, AuditFilter, append_audit
from models.connection import fetch
from models.unit_of_work import unit_of_work
from resolvers import agents, current_states, provisioning, target_states, tenants
from resolvers.audit import find_audited_tenant, list_audit_events
from tests.doubles import ManualClock
from tests.factories import make_agent
from tests.resolvers.edge import (
    Edge,
    as_agent,
    exchange,
    new_key,
    nobody,
    provision,
    register,
    system,
)


async def events(ctx: Context, *types: AuditType) -> list[AuditEvent]:
    wanted = AuditFilter(types=types or None)
    return (await list_audit_events(ctx, wanted, 100)).items


async def types(ctx: Context) -> list[str]:
    """Return the types of the tenant's events, oldest first."""
    return [event.event_type for event in reversed(await events(ctx))]


async def test_an_entry_is_gone_with_its_transaction(ctx: Context) -> None:
    async def fail() -> None:
        async with unit_of_work(ctx) as work:
            work.record(AuditEntry(AuditType.USER_UPDATED))
            await work.write_record(ctx)
            raise Conflict("no")

    with pytest.raises(Conflict):
        await fail()
    assert await types(ctx) == []


async def test_who_when_and_from_where_come_from_the_context(ctx: Context) -> None:
    ctx = replace(ctx, remote_address="192.0.2.7", user_agent="curl\x00/8", request_id="r1")
    await append_audit(ctx, [AuditEntry(AuditType.USER_UPDATED, "user:1")])
    (event,) = await events(ctx)
    assert (event.actor, event.user_id) == ("user", ctx.caller.user_id)
    assert (event.ip_address, event.user_agent, event.request_id) == (
        *("192.0.2.7", "curl\ufffd/8", "r1"),
    )


async def test_each_step_of_provisioning_is_recorded_for_the_tenant_of_the_key(
    ctx: Context,
) -> None:
    edge, agent = await provision(ctx)
    assert await types(ctx) == [
        *("provisioning_key_created", "provisioning_started", "provisioning_success"),
        "key_exchange_success",
    ]
    made, *_, exchanged = reversed(await events(ctx))
    assert made.user_id == ctx.caller.user_id
    assert made.details["after"]["agents_max"] == 1
    assert (exchanged.actor, exchanged.agent_uuid) == ("nobody", agent.uuid)
    assert edge.device_key not in str(await events(ctx))


async def test_a_used_up_key_and_a_foreign_agent_are_recorded_though_nothing_was_done(
    ctx: Context,
) -> None:
    ctx = replace(ctx, remote_address=f"hall-{ctx.tenant_id}")
    key = await new_key(ctx)
    edge = Edge.make()
    await register(ctx, edge, key)
    with pytest.raises(LimitReached):
        await register(ctx, Edge.make(), key)
    with pytest.raises(Conflict):
        await register(ctx, replace(edge, private_key=Edge.make().private_key), key)
    limit, failed = (await types(ctx))[-2:]
    assert (limit, failed) == ("provisioning_limit_exceeded", "provisioning_failed")


async def test_a_wrong_signature_is_recorded_once_a_minute_per_address(ctx: Context) -> None:
    clock = ManualClock(ctx.clock.now())
    ctx = replace(ctx, clock=clock, remote_address=f"lab-{ctx.tenant_id}")
    edge = Edge.make()
    await register(ctx, edge)
    for seconds in (0, 1, 60):
        clock.advance(seconds=seconds)
        with pytest.raises(Unauthenticated):
            await exchange(ctx, edge, "not the challenge")
    failed = await events(ctx, AuditType.KEY_EXCHANGE_FAILED)
    assert len(failed) == 2
    assert failed[0].details["code"] == "UNAUTHENTICATED"


async def test_an_unknown_provisioning_key_is_the_installations_affair(ctx: Context) -> None:
    ctx = replace(ctx, remote_address=f"street-{ctx.tenant_id}")
    with pytest.raises(Unauthenticated):
        await provisioning.register_agent(nobody(ctx), "guessed", Edge.make().registration())
    found = await fetch(
        "select tenant_id, event_type, details::text from audit_event where ip_address = $1",
        ctx.remote_address,
    )
    assert [(row["tenant_id"], row["event_type"]) for row in found] == [(0, "provisioning_failed")]
    assert "guessed" not in found[0]["details"]


async def test_a_target_state_is_recorded_as_it_was_and_as_it_is_without_its_secrets(
    ctx: Context,
) -> None:
    agent = await make_agent(ctx)
    config = {"environment": {"DB_PASSWORD": "hush", "MODE": "fast"}}
    apps = {"1": {"services": [{"serviceName": "web", "config": config}]}}
    await target_states.set_target_state(ctx, agent.uuid, apps=apps, config=None)
    (event,) = await events(ctx)
    assert event.event_type == "device_config_update"
    before, after = event.details["before"], event.details["after"]
    assert (before["version"], after["version"]) == (1, 2)
    assert before["etag"] != after["etag"]
    assert before["apps"] == {}
    assert "hush" not in str(event.details)
    assert "fast" in str(event.details)


async def test_an_agent_that_comes_and_goes_leaves_one_event_each_way(ctx: Context) -> None:
    clock = ManualClock(ctx.clock.now())
    ctx = replace(ctx, clock=clock)
    agent = await make_agent(ctx)
    await agents.mark_seen(system(ctx), [agent.id])
    await agents.mark_seen(system(ctx), [agent.id])
    clock.advance(seconds=60)
    await agents.mark_seen(as_agent(ctx, agent), [agent.id])
    assert await types(ctx) == ["device_online"]
    clock.advance(seconds=ctx.policy.online_window_seconds + 1)
    await agents.sweep_offline(system(ctx))
    await agents.sweep_offline(system(ctx))
    assert await types(ctx) == ["device_online", "device_offline"]
    assert {event.agent_uuid for event in await events(ctx)} == {agent.uuid}


async def test_reports_are_recorded_only_where_apps_or_the_version_differ(ctx: Context) -> None:
    agent = await make_agent(ctx)
    caller = as_agent(ctx, agent)

    async def report(**members: Any) -> None:
        body = {str(agent.uuid): {"version": 1, **members}}
        await current_states.report_state(caller, body, transport="http")

    await report(apps={"1": {"appName": "a"}}, cpu_usage=10.0)
    assert sorted(await types(ctx)) == ["device_online", "device_state_changed"]
    await report(apps={"1": {"appName": "a"}}, cpu_usage=20.0)
    await report(cpu_usage=30.0)
    assert len(await types(ctx)) == 2
    await report(apps={"1": {"appName": "b"}}, cpu_usage=30.0)
    (newest, *_) = await events(ctx)
    assert newest.event_type == "device_state_changed"
    assert newest.actor == "agent"
    assert newest.details["before"]["apps"] == {"1": {"appName": "a"}}
    assert newest.details["after"]["apps"] == {"1": {"appName": "b"}}


async def test_a_new_installation_begins_its_log_with_tenant_and_owner(ctx: Context) -> None:
    name = f"tenant {ctx.tenant_id}"
    tenant = await tenants.bootstrap(
        system(ctx),
        admin_email=f"boss-{ctx.tenant_id}@example.com",
        admin_password="correct horse battery",
        tenant_name=name,
    )
    rows = await fetch(
        "select event_type, details::text from audit_event where tenant_id = $1 order by id",
        tenant.id,
    )
    assert [row["event_type"] for row in rows] == ["tenant_created", "user_created"]
    assert "correct horse" not in str(rows)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (AuditFilter(types=["no_such"]), "event_type"),
        (AuditFilter(severity="loud"), "severity"),
        (AuditFilter(text="x" * 256), "text"),
        (AuditFilter(text="\x00"), "text"),
        (AuditFilter(ip_address="1" * 65), "ip_address"),
        (AuditFilter(ip_address="\x00"), "ip_address"),
    ],
)
async def test_a_filter_that_cannot_match_is_refused(
    ctx: Context, wanted: AuditFilter, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await list_audit_events(ctx, wanted, 10)
    assert caught.value.facts["field"] == field


async def test_what_a_session_a_key_or_an_address_did_is_found_exactly(ctx: Context) -> None:
    session_id, key_id = ctx.ids.uuid(), ctx.ids.uuid()
    for subject, caller, address in (
        ("by session", replace(ctx.caller, session_id=session_id), "192.0.2.7"),
        ("by key", replace(ctx.caller, api_key_id=key_id), "192.0.2.71"),
        ("by neither", ctx.caller, "2001:db8::7"),
    ):
        by = replace(ctx, caller=caller, remote_address=address)
        await append_audit(by, [AuditEntry(AuditType.USER_UPDATED, subject)])
    for wanted, subjects in (
        (AuditFilter(session_id=session_id), ["by session"]),
        (AuditFilter(api_key_id=key_id), ["by key"]),
        (AuditFilter(ip_address="192.0.2.7"), ["by session"]),
        (AuditFilter(ip_address="2001:db8::7"), ["by neither"]),
        (AuditFilter(ip_address="192.0.2.71", session_id=session_id), []),
        (AuditFilter(session_id=key_id), []),
    ):
        page = await list_audit_events(ctx, wanted, 10)
        assert [event.subject for event in page.items] == subjects, wanted
        assert page.total == len(subjects)


async def test_filters_are_inclusive_from_and_exclusive_to(ctx: Context) -> None:
    clock = ManualClock()
    ctx = replace(ctx, clock=clock)
    await append_audit(ctx, [AuditEntry(AuditType.USER_UPDATED, "user:Ann")])
    now, second = clock.now(), timedelta(seconds=1)
    for wanted, number in (
        (AuditFilter(since=now, until=now + second), 1),
        (AuditFilter(since=now - second, until=now), 0),
        (AuditFilter(text="ANN"), 1),
        (AuditFilter(text="%"), 0),
    ):
        assert (await list_audit_events(ctx, wanted, 10)).total == number, wanted


async def test_tenants_are_found_by_id_uuid_and_name(ctx: Context) -> None:
    row = (await fetch("select uuid from tenant where id = $1", ctx.tenant_id))[0]
    assert await find_audited_tenant(system(ctx), str(ctx.tenant_id)) == ctx.tenant_id
    assert await find_audited_tenant(system(ctx), str(row["uuid"]).upper()) == ctx.tenant_id
    assert await find_audited_tenant(system(ctx), "0") == 0
    for text in ("no such tenant", "999999999"):
        with pytest.raises(NotFound):
            await find_audited_tenant(system(ctx), text)
