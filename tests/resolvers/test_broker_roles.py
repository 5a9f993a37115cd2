"""Roles of the broker and ACL lines; and that none of them reaches another tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from core.broker_accounts import BrokerAccount, may
from core.context import Context
from core.errors import Conflict, Forbidden, InvalidInput, LimitReached, NotFound
from resolvers import broker_accounts, broker_reach, broker_roles
from resolvers.broker_accounts import AccountChanges, AccountKey
from resolvers.broker_roles import LineChanges, LineOwner
from tests.resolvers.broker_people import (
    another,
    at_the_broker,
    audited,
    installation,
    make,
    named,
    topics,
)


@pytest.fixture
async def mine(ctx: Context) -> Context:
    """The context of an owner of a tenant that is not the first."""
    return await another(ctx)


async def there(ctx: Context, name: str) -> BrokerAccount:
    account = await at_the_broker(ctx, name)
    assert account is not None
    return account


@pytest.mark.parametrize(
    ("access", "read", "write"),
    [(1, True, False), (2, False, True), (3, True, True), (4, False, False), (7, True, True)],
)
async def test_a_line_grants_what_its_bits_say(
    mine: Context, access: int, read: bool, write: bool
) -> None:
    name, topic = await make(mine), f"{await topics(mine)}/notes/+"
    line = await broker_roles.create_line(mine, LineOwner(named(name)), topic, access, 5)
    assert (line.topic, line.access, line.priority) == (topic, access, 5)
    account = await there(mine, name)
    wanted = topic.replace("+", "x")
    assert may(account, wanted, write=False) is read
    assert may(account, wanted, write=True) is write


async def test_lines_change_and_end(mine: Context) -> None:
    name, root = await make(mine), await topics(mine)
    line = await broker_roles.create_line(mine, LineOwner(named(name)), f"{root}/x", 1)
    await broker_roles.update_line(mine, line.id, LineChanges(f"{root}/y", 2))
    account = await there(mine, name)
    assert may(account, f"{root}/y", write=True)
    assert not may(account, f"{root}/x", write=False)
    seen = len(await audited(mine))
    await broker_roles.update_line(mine, line.id, LineChanges(f"{root}/y"))
    assert len(await audited(mine)) == seen
    await broker_roles.delete_line(mine, line.id)
    assert (await there(mine, name)).rules == ()
    types = [entry["event_type"] for entry in await audited(mine)]
    assert types == ["mqtt_user_created", *["mqtt_acl_changed"] * 3]
    with pytest.raises(NotFound):
        await broker_roles.delete_line(mine, line.id)


BEYOND = ["#", "+/#", "i/#", "i/+/a/+/state", "i/+", "other", "/", "I/x", "$SYS/#", "$SYS/broker/x"]
NEVER = [
    "",
    "$CONTROL/dynamic-security/v1",
    "$share/g/#",
    "$share/g/{root}/x",
    "$",
    "{root}/#/x",
    "{root}/a+",
    "{root}/\n",
    "{root}/x\nuser fleetgraph",
    "{root}/\u2028",
    "{root}/\x00",
    " {root}/x",
    "{root}/\ud800",
    "{root}/" + "x" * 1024,
    "{root}" + "/" * 100,
]


@pytest.mark.parametrize("topic", [*BEYOND, "{theirs}/x", "{theirs}/#", "{root}", "{root}x/y"])
async def test_no_line_reaches_beyond_the_tenants_own_topics(mine: Context, topic: str) -> None:
    theirs, root = await topics(await another(mine)), await topics(mine)
    name, topic = await make(mine), topic.format(root=root, theirs=theirs)
    line = await broker_roles.create_line(mine, LineOwner(named(name)), f"{root}/x", 1)
    await broker_roles.create_role(mine, "wide")
    with pytest.raises(Forbidden):
        await broker_roles.create_line(mine, LineOwner(named(name)), topic, 1)
    with pytest.raises(Forbidden):
        await broker_roles.create_line(mine, LineOwner(role="wide"), topic, 1)
    with pytest.raises(Forbidden):
        await broker_roles.update_line(mine, line.id, LineChanges(topic=topic))
    assert [rule.topic for rule in (await there(mine, name)).rules] == [f"{root}/x"]


@pytest.mark.parametrize("topic", NEVER)
async def test_what_controls_the_broker_or_is_no_filter_is_refused_to_all(
    mine: Context, topic: str
) -> None:
    for ctx in (mine, await installation(mine)):
        name = await make(ctx)
        wanted = topic.replace("{root}", await topics(ctx))
        try:
            with pytest.raises(InvalidInput) as caught:
                await broker_roles.create_line(ctx, LineOwner(named(name)), wanted, 1)
            assert caught.value.facts["field"] == "topic"
        finally:
            await broker_accounts.delete_account(ctx, named(name))


async def test_the_installations_owner_names_any_topic_but_writes_none_of_the_brokers(
    mine: Context,
) -> None:
    owner = await installation(mine)
    name = await make(owner)
    try:
        for topic in ("#", f"{await topics(mine)}/#", "$SYS/#"):
            await broker_roles.create_line(owner, LineOwner(named(name)), topic, 1)
        with pytest.raises(InvalidInput):
            await broker_roles.create_line(owner, LineOwner(named(name)), "$SYS/#", 2)
        assert may(await there(mine, name), "$SYS/broker/uptime", write=False)
    finally:
        await broker_accounts.delete_account(owner, named(name))


@pytest.mark.parametrize("access", [0, 8, -1])
async def test_refuses_bits_that_mean_nothing(mine: Context, access: int) -> None:
    name = await make(mine)
    with pytest.raises(InvalidInput) as caught:
        await broker_roles.create_line(mine, LineOwner(named(name)), "i/x", access)
    assert caught.value.facts["field"] == "access"


async def test_an_owner_has_so_many_lines_and_no_more(
    mine: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_roles, "LINES_MAX", 2)
    root = await topics(mine)
    await broker_roles.create_role(mine, "full")
    for number in range(2):
        await broker_roles.create_line(mine, LineOwner(role="full"), f"{root}/{number}", 1)
    with pytest.raises(LimitReached):
        await broker_roles.create_line(mine, LineOwner(role="full"), f"{root}/3", 1)


async def test_a_tenant_fills_the_brokers_files_so_far_and_no_further(
    mine: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = await topics(mine)
    await broker_roles.create_role(mine, "role")
    await broker_roles.create_line(mine, LineOwner(role="role"), f"{root}/x", 1)
    plain = await make(mine)
    await make(mine, roles=["role"])
    monkeypatch.setattr(broker_reach, "GRANTED_MAX", 1)
    with pytest.raises(LimitReached):
        await broker_roles.create_line(mine, LineOwner(role="role"), f"{root}/y", 1)
    with pytest.raises(LimitReached):
        await broker_roles.create_line(mine, LineOwner(named(plain)), f"{root}/y", 1)
    with pytest.raises(LimitReached):
        await broker_accounts.update_account(mine, named(plain), AccountChanges(roles=["role"]))
    assert (await broker_roles.list_lines(mine)).total == 1
    monkeypatch.setattr(broker_reach, "ACCOUNTS_MAX", 2)
    with pytest.raises(LimitReached):
        await make(mine)
    assert (await broker_accounts.list_accounts(mine)).total == 2


async def test_a_role_may_be_called_what_people_call_things(mine: Context) -> None:
    name = "Schicht\N{NO-BREAK SPACE}früh / 早番"
    await broker_roles.create_role(mine, name)
    await make(mine, roles=[name])
    await broker_roles.delete_role(mine, name)


async def test_roles_are_renamed_and_deleted_with_what_they_gave(mine: Context) -> None:
    root = await topics(mine)
    await broker_roles.create_role(mine, "readers", "who reads")
    await broker_roles.create_line(mine, LineOwner(role="readers"), f"{root}/x", 1)
    name = await make(mine, roles=["readers"])
    with pytest.raises(Conflict):
        await broker_roles.create_role(mine, "readers")
    renamed = await broker_roles.update_role(mine, "readers", new_name="people", description="new")
    assert (renamed.name, renamed.description) == ("people", "new")
    assert [rule.topic for rule in (await there(mine, name)).rules] == [f"{root}/x"]
    await broker_roles.delete_role(mine, "people")
    assert (await there(mine, name)).rules == ()
    assert (await broker_roles.list_lines(mine)).items == []
    with pytest.raises(NotFound):
        await broker_roles.delete_role(mine, "people")


async def test_two_tenants_may_have_roles_of_one_name(mine: Context) -> None:
    other = await another(mine)
    for ctx in (mine, other):
        await broker_roles.create_role(ctx, "readers")
    await broker_roles.create_line(other, LineOwner(role="readers"), f"{await topics(other)}/x", 1)
    name = await make(mine, roles=["readers"])
    assert (await there(mine, name)).rules == ()


async def test_lists_are_paged(mine: Context) -> None:
    root, name = await topics(mine), await make(mine)
    for number in range(3):
        await broker_roles.create_role(mine, f"role-{number}")
        await broker_roles.create_line(mine, LineOwner(role=f"role-{number}"), f"{root}/r", 1)
        await broker_roles.create_line(mine, LineOwner(named(name)), f"{root}/{number}", 1)
    roles = await broker_roles.list_roles(mine, 2)
    more = await broker_roles.list_roles(mine, 2, roles.cursors[-1])
    assert [role.name for role in roles.items + more.items] == ["role-0", "role-1", "role-2"]
    lines = await broker_roles.list_lines(mine, LineOwner(named(name)), 2)
    rest = await broker_roles.list_lines(mine, LineOwner(named(name)), 2, lines.cursors[-1])
    assert [line.topic for line in lines.items + rest.items] == [f"{root}/{n}" for n in range(3)]
    assert (await broker_roles.list_lines(mine)).total == 6
    assert (await broker_roles.list_lines(mine, LineOwner(role="role-1"))).total == 1
    with pytest.raises(InvalidInput):
        await broker_roles.list_lines(mine, None, 2, "bm90IGEgbnVtYmVy")


Attempt = Callable[[Context, str, int, int], Awaitable[object]]
ATTEMPTS: dict[str, Attempt] = {
    "read": lambda me, name, *_: broker_accounts.get_account(me, named(name)),
    "read by id": lambda me, _, id_, __: broker_accounts.get_account(me, AccountKey(id_)),
    "change": lambda me, name, *_: broker_accounts.update_account(
        me, named(name), AccountChanges(new_password=True)
    ),
    "change by id": lambda me, _, id_, __: broker_accounts.update_account(
        me, AccountKey(id_), AccountChanges(is_active=False)
    ),
    "delete": lambda me, name, *_: broker_accounts.delete_account(me, named(name)),
    "give a line": lambda me, name, *_: broker_roles.create_line(
        me, LineOwner(named(name)), "i/x", 1
    ),
    "list lines": lambda me, name, *_: broker_roles.list_lines(me, LineOwner(named(name))),
    "list lines of a role": lambda me, *_: broker_roles.list_lines(me, LineOwner(role="theirs")),
    "give their role a line": lambda me, *_: broker_roles.create_line(
        me, LineOwner(role="theirs"), "i/x", 1
    ),
    "change a role": lambda me, *_: broker_roles.update_role(me, "theirs", description="mine"),
    "delete a role": lambda me, *_: broker_roles.delete_role(me, "theirs"),
    "change a line": lambda me, _, __, line: broker_roles.update_line(
        me, line, LineChanges(access=3)
    ),
    "delete a line": lambda me, _, __, line: broker_roles.delete_line(me, line),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_nothing_of_another_tenant_is_there(mine: Context, attempt: str) -> None:
    them = await another(mine)
    root = await topics(them)
    await broker_roles.create_role(them, "theirs")
    name = await make(them, roles=["theirs"])
    line = await broker_roles.create_line(them, LineOwner(named(name)), f"{root}/x", 1)
    row = await broker_accounts.get_account(them, named(name))
    before = await there(them, name)
    with pytest.raises((NotFound, Forbidden)) as caught:
        await ATTEMPTS[attempt](mine, name, row.id, line.id)
    told = str(caught.value.message)
    assert root not in told
    assert await there(them, name) == before
    for found in (
        (await broker_accounts.list_accounts(mine)).items,
        (await broker_roles.list_roles(mine)).items,
        (await broker_roles.list_lines(mine)).items,
        await broker_accounts.list_roles_of(mine, [row.id]),
        await broker_roles.list_lines_of_accounts(mine, [row.id]),
        await broker_roles.list_lines_of_roles(mine, [row.id]),
        await broker_roles.find_usernames(mine, [row.id]),
    ):
        assert not found
    with pytest.raises(InvalidInput):
        await make(mine, roles=["theirs"])


async def test_names_too_long_for_any_row_are_not_found(mine: Context) -> None:
    long = "x" * (broker_reach.NAME_CHARS_MAX + 1)
    account, topic = named(await make(mine)), f"{await topics(mine)}/x"
    for name in (long, "x" * 300):
        for ask in (
            broker_accounts.get_account(mine, named(name)),
            broker_accounts.update_account(mine, named(name), AccountChanges()),
            broker_accounts.delete_account(mine, named(name)),
            broker_roles.update_role(mine, name, description="x"),
            broker_roles.delete_role(mine, name),
            broker_roles.list_lines(mine, LineOwner(role=name)),
            broker_roles.create_line(mine, LineOwner(named(name)), topic, 1),
            broker_roles.create_line(mine, LineOwner(role=name), topic, 1),
        ):
            with pytest.raises(NotFound):
                await ask
        with pytest.raises(InvalidInput, match="there is no role"):
            await broker_accounts.update_account(mine, account, AccountChanges(roles=[name]))
