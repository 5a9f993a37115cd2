"""Accounts on the broker that people make and change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.broker_accounts import verify_broker_password
from core.callers import Role
from core.context import Context
from core.errors import AppError, Conflict, Forbidden, InvalidInput, NotFound
from core.events import BROKER_ACCOUNTS
from models.mqtt_accounts import AccountKind, MqttAccount
from models.tenants import get_tenant
from models.unit_of_work import unit_of_work
from resolvers import broker_accounts, broker_roles
from resolvers.broker_accounts import AccountChanges, AccountKey
from resolvers.broker_credentials import open_endpoint_account
from resolvers.broker_roles import LineOwner
from tests.doubles import RecordingBus
from tests.resolvers.broker_people import (
    PASSWORD,
    a_name,
    another,
    at_the_broker,
    audited,
    in_role,
    installation,
    make,
    named,
    topics,
)
from tests.resolvers.edge import provision


@pytest.fixture
async def mine(ctx: Context) -> Context:
    """The context of an owner of a tenant that is not the first."""
    return await another(ctx)


def poked(ctx: Context) -> int:
    assert isinstance(ctx.bus, RecordingBus)
    return sum(name == BROKER_ACCOUNTS.name for name, _ in ctx.bus.published)


async def test_a_made_up_password_is_in_the_answer_and_nowhere_else(mine: Context) -> None:
    made = await broker_accounts.create_account(mine, a_name(mine), AccountChanges())
    assert made.password is not None
    account = await at_the_broker(mine, made.row.username)
    assert account is not None
    assert verify_broker_password(made.password, account.password_hash)
    assert (account.is_platform, account.rules) == (False, ())
    assert poked(mine) == 1
    (entry,) = await audited(mine)
    assert (entry["event_type"], entry["subject"]) == (
        "mqtt_user_created",
        f"mqtt_user:{made.row.username}",
    )
    assert made.password not in entry["details"]
    assert account.password_hash not in entry["details"]


async def test_a_given_password_is_not_told_again(mine: Context) -> None:
    made = await broker_accounts.create_account(mine, a_name(mine), AccountChanges(PASSWORD))
    assert made.password is None
    account = await at_the_broker(mine, made.row.username)
    assert account is not None
    assert verify_broker_password(PASSWORD, account.password_hash)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a/b",
        "a/a/b",
        "é",
        "a:b",
        "a+b",
        "#",
        "$SYS",
        "a\nb",
        "a\n",
        "x" * 101,
        "AAAAAAAAAAAAAAAAAAAAAA",
        "3f2b8c14-5d6e-4a7b-9c8d-0e1f2a3b4c5d",
    ],
)
async def test_refuses_names_that_could_mean_something_else(mine: Context, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await broker_accounts.create_account(mine, name, AccountChanges())
    assert caught.value.facts["field"] == "username"


async def test_the_id_of_a_tenant_is_no_name(mine: Context) -> None:
    """Its account could write below `i/<tenant>/`, as the patterns go by the name."""
    level = (await topics(await another(mine))).removeprefix("i/")
    for name in (level, str((await get_tenant(mine.tenant_id)).uuid)):
        with pytest.raises(InvalidInput):
            await broker_accounts.create_account(mine, name, AccountChanges())


@pytest.mark.parametrize("name", ["fleetgraph", "FleetGraph", "ingest"])
async def test_the_platforms_names_are_taken(mine: Context, name: str) -> None:
    policy = replace(mine.policy, broker_usernames=frozenset({"fleetgraph", "ingest"}))
    with pytest.raises(Conflict):
        await broker_accounts.create_account(replace(mine, policy=policy), name, AccountChanges())


async def test_a_name_is_used_once_in_the_installation(mine: Context) -> None:
    name = await make(mine)
    for ctx in (mine, await another(mine)):
        with pytest.raises(Conflict) as caught:
            await broker_accounts.create_account(ctx, name, AccountChanges())
        assert caught.value.facts == {"field": "username"}
        assert caught.value.message == "This name is taken"


@pytest.mark.parametrize(
    "password", ["", "short-1a", "aaaaaaaaaaaaaaaa", "correct\x00horse battery", "passwordpassword"]
)
async def test_refuses_passwords_that_anybody_would_try(mine: Context, password: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await make(mine, password=password)
    assert caught.value.facts["field"] == "password"


async def test_a_new_password_replaces_the_old_one(mine: Context) -> None:
    name = await make(mine)
    changed = await broker_accounts.update_account(
        mine, named(name), AccountChanges(new_password=True)
    )
    assert changed.password is not None
    account = await at_the_broker(mine, name)
    assert account is not None
    assert verify_broker_password(changed.password, account.password_hash)
    assert not verify_broker_password(PASSWORD, account.password_hash)
    assert changed.password not in (await audited(mine))[-1]["details"]
    with pytest.raises(InvalidInput):
        await broker_accounts.update_account(
            mine, named(name), AccountChanges(PASSWORD, new_password=True)
        )


async def test_a_deactivated_account_may_not_log_in(mine: Context) -> None:
    name = await make(mine)
    await broker_accounts.update_account(mine, named(name), AccountChanges(is_active=False))
    assert await at_the_broker(mine, name) is None
    await broker_accounts.update_account(mine, named(name), AccountChanges(is_active=True))
    assert await at_the_broker(mine, name) is not None


async def test_a_change_that_changes_nothing_tells_nobody(mine: Context) -> None:
    name = await make(mine)
    before = poked(mine), len(await audited(mine))
    await broker_accounts.update_account(
        mine, named(name), AccountChanges(is_active=True, roles=[], description="")
    )
    assert (poked(mine), len(await audited(mine))) == before


async def test_roles_are_given_by_name_and_replaced_as_a_whole(mine: Context) -> None:
    root = await topics(mine)
    for role, topic in (("readers", f"{root}/a/+/state"), ("writers", f"{root}/notes/#")):
        await broker_roles.create_role(mine, role)
        await broker_roles.create_line(mine, LineOwner(role=role), topic, 3)
    name = await make(mine, roles=["writers", "readers"])
    account = await at_the_broker(mine, name)
    assert account is not None
    assert [rule.topic for rule in account.rules] == [f"{root}/a/+/state", f"{root}/notes/#"]
    await broker_accounts.update_account(mine, named(name), AccountChanges(roles=["writers"]))
    account = await at_the_broker(mine, name)
    assert account is not None
    assert [rule.topic for rule in account.rules] == [f"{root}/notes/#"]
    row = await broker_accounts.get_account(mine, named(name))
    found = await broker_accounts.list_roles_of(mine, [row.id])
    assert [role.name for role in found[row.id]] == ["writers"]
    for names in (["readers", "nobody"], ["\x00"], [str(number) for number in range(21)]):
        with pytest.raises(InvalidInput) as caught:
            await broker_accounts.update_account(mine, named(name), AccountChanges(roles=names))
        assert caught.value.facts["field"] == "roles"


async def test_a_deleted_account_is_gone_with_its_lines(mine: Context) -> None:
    name = await make(mine)
    owner = LineOwner(named(name))
    await broker_roles.create_line(mine, owner, f"{await topics(mine)}/x", 1)
    await broker_accounts.delete_account(mine, named(name))
    assert await at_the_broker(mine, name) is None
    assert (await broker_roles.list_lines(mine)).items == []
    assert (await audited(mine))[-1]["event_type"] == "mqtt_user_deleted"
    with pytest.raises(NotFound):
        await broker_accounts.get_account(mine, named(name))


async def test_lists_accounts_by_name_and_kind_page_by_page(mine: Context) -> None:
    _, agent = await provision(mine)
    async with unit_of_work(mine) as work:
        sensor = await open_endpoint_account(mine, work, agent, mine.ids.uuid())
    people = sorted([await make(mine) for _ in range(3)])
    first = await broker_accounts.list_accounts(mine, AccountKind.PERSON, 2)
    second = await broker_accounts.list_accounts(mine, AccountKind.PERSON, 2, first.cursors[-1])
    assert [row.username for row in first.items + second.items] == people
    assert (first.total, first.has_next, second.has_next) == (3, True, False)
    assert (await broker_accounts.list_accounts(mine)).total == 5
    sensors = await broker_accounts.list_accounts(mine, AccountKind.SENSOR)
    assert [row.username for row in sensors.items] == [sensor.username]
    agents = await broker_accounts.list_accounts(mine, AccountKind.AGENT)
    assert [row.agent_id for row in agents.items] == [agent.id]


async def test_accounts_of_agents_and_sensors_are_not_changed_here(mine: Context) -> None:
    _, agent = await provision(mine)
    async with unit_of_work(mine) as work:
        await open_endpoint_account(mine, work, agent, mine.ids.uuid())
    rows = await MqttAccount.of(mine.tenant_id)
    assert len(rows) == 2
    topic = f"{await topics(mine)}/x"
    for row in rows:
        key, changes = AccountKey(id=row.id), AccountChanges(is_active=False)
        advice = "deactivate the agent" if row.endpoint_uuid is None else "change the endpoint"
        with pytest.raises(Conflict, match=advice):
            await broker_accounts.update_account(mine, key, changes)
        with pytest.raises(Conflict, match=advice):
            await broker_accounts.delete_account(mine, key)
        with pytest.raises(Conflict, match=advice):
            await broker_roles.create_line(mine, LineOwner(key), topic, 1)
    assert all(row.is_active for row in await MqttAccount.of(mine.tenant_id))


async def test_only_the_installations_owner_makes_and_changes_superusers(mine: Context) -> None:
    owner = await installation(mine)
    admin = in_role(owner, Role.ADMIN)
    for ctx in (mine, admin):
        with pytest.raises(Forbidden):
            await make(ctx, is_superuser=True)
    plain = await make(admin)
    name = await make(owner, is_superuser=True)
    try:
        account = await at_the_broker(mine, name)
        assert account is not None
        assert account.is_platform
        for changes in (AccountChanges(new_password=True), AccountChanges(is_active=False)):
            with pytest.raises(Forbidden):
                await broker_accounts.update_account(admin, named(name), changes)
        with pytest.raises(Forbidden):
            await broker_accounts.delete_account(admin, named(name))
        with pytest.raises(Forbidden):
            await broker_accounts.update_account(
                admin, named(plain), AccountChanges(is_superuser=True)
            )
        await broker_accounts.update_account(owner, named(name), AccountChanges(PASSWORD + "x"))
    finally:
        for each in (name, plain):
            await broker_accounts.delete_account(owner, named(each))


async def test_who_sets_a_password_reaches_no_further_than_before(mine: Context) -> None:
    """An admin of the first tenant gets nothing out of what the installation's owner granted."""
    owner = await installation(mine)
    admin = in_role(owner, Role.ADMIN)
    wide, plain = await make(owner), await make(owner)
    role = a_name(mine)
    await broker_roles.create_role(owner, role)
    try:
        await broker_roles.create_line(owner, LineOwner(named(wide)), "i/#", 1)
        line = await broker_roles.create_line(owner, LineOwner(role=role), "$SYS/#", 1)
        attempts = [
            broker_accounts.update_account(admin, named(wide), AccountChanges(new_password=True)),
            broker_accounts.update_account(admin, named(plain), AccountChanges(roles=[role])),
            make(admin, roles=[role]),
            broker_roles.update_line(admin, line.id, broker_roles.LineChanges(access=3)),
            broker_roles.delete_line(admin, line.id),
            broker_roles.delete_role(admin, role),
        ]
        for attempt in attempts:
            with pytest.raises(AppError) as caught:
                await attempt
            assert isinstance(caught.value, Forbidden | InvalidInput)
        account = await at_the_broker(mine, plain)
        assert account is not None
        assert account.rules == ()
    finally:
        for each in (wide, plain):
            await broker_accounts.delete_account(owner, named(each))
        await broker_roles.delete_role(owner, role)


async def test_a_key_that_names_both_must_fit(mine: Context) -> None:
    name, other = await make(mine), await make(mine)
    row = await broker_accounts.get_account(mine, named(name))
    assert (await broker_accounts.get_account(mine, AccountKey(row.id, name))).id == row.id
    with pytest.raises(NotFound):
        await broker_accounts.get_account(mine, AccountKey(row.id, other))
    with pytest.raises(InvalidInput):
        await broker_accounts.get_account(mine, AccountKey())


@pytest.mark.parametrize("key", [AccountKey(id=-1), AccountKey(id=2**40), AccountKey(None, "\x00")])
async def test_what_cannot_be_is_not_found(mine: Context, key: AccountKey) -> None:
    with pytest.raises(NotFound):
        await broker_accounts.get_account(mine, key)
