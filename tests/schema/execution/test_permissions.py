"""Every field of the schema says whom it is for, and nothing runs for anybody else."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import GraphQLField, GraphQLObjectType, parse

from core.access import ROLES, Permission
from core.callers import NOBODY, Caller, Role
from core.context import Context
from core.errors import Forbidden, Unauthenticated
from schema import agent_changes, agent_updates, broker_view, history
from schema.broker_loaders import BrokerLoaders
from schema.directives import Requires, directives_of
from schema.execution.engine import Engine
from schema.execution.permissions import Access
from schema.limits import Limits
from schema.loaders import Loaders
from schema.root import schema
from schema.sensor_loaders import SensorLoaders
from tests.schema.asking import answer, as_nobody, as_role, follow

GOLDEN = Path(__file__).parents[1] / "field_permissions.txt"
ROOTS = ("Query", "Mutation", "Subscription")
TOUCHES = re.compile(r"info\.context(?!\.ctx\.(clock|caller)\b)|(?<!context\.)\bctx\b|loaders")
"""More than the row, the time and who asks."""

HELPERS = {
    "follow_agents(": inspect.getsource(agent_changes),
    "newest_readings(": inspect.getsource(history),
    "follow_broker(": inspect.getsource(broker_view),
    "AgentUpdateFeed(": inspect.getsource(agent_updates),
    "_children(": inspect.getsource(Loaders),
    **{f"loaders.{name}.": inspect.getsource(Loaders) for name in dir(Loaders)},
    "loaders.broker.": inspect.getsource(BrokerLoaders),
    "loaders.sensors.": inspect.getsource(SensorLoaders),
}
"""What resolvers call to have use cases called."""


def fields() -> Iterator[tuple[str, GraphQLField]]:
    for type_ in schema._schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field


def source_of(field: GraphQLField) -> str:
    """Return the source of a field's resolver; empty when it only reads an attribute."""
    resolver = field.extensions["strawberry-definition"].base_resolver
    return inspect.getsource(resolver.wrapped_func) if resolver else ""


def required(field: GraphQLField) -> list[Permission]:
    return [Permission(each) for hint in directives_of(field, Requires) for each in hint.any]


def table() -> str:
    """Return a line per field with permissions: the field, the permissions, the roles."""
    lines = []
    for name, field in sorted(fields()):
        if wanted := required(field):
            roles = [role for role in Role if any(role in ROLES[each] for each in wanted)]
            lines.append(f"{name}: {' or '.join(wanted)}: {' '.join(roles)}")
    return "\n".join(lines) + "\n"


@pytest.mark.golden
def test_the_table_of_permissions_is_the_one_that_was_agreed() -> None:
    if os.environ.get("FLEETGRAPH_TEST_GOLDEN"):
        GOLDEN.write_text(table())
    assert table() == GOLDEN.read_text(), "run `make golden` and read the diff"


def test_each_field_that_does_more_than_read_a_value_says_whom_it_is_for() -> None:
    silent = [
        name
        for name, field in fields()
        if (name.split(".")[0] in ROOTS or TOUCHES.search(source_of(field))) and not required(field)
    ]
    assert silent == []


def test_a_field_names_a_use_case_that_it_calls() -> None:
    other = []
    for name, field in fields():
        source = source_of(field)
        named = re.search(r'requires\(\s*"(\w+)\.(\w+)"', source)
        if not named:
            continue
        called = source + "".join(text for word, text in HELPERS.items() if word in source)
        if f"{named[2]}(" not in called.replace(named[0], ""):
            other.append(name)
    assert other == []


def access(text: str) -> Access:
    document = parse(text)
    return Access.to(schema._schema, document, document.definitions[0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "{ agents { nodes { latest { value } } } }",
        """{ agents { ...P } } fragment P on AgentConnection { edges { node { ...A } } }
        fragment A on Agent { ... on Agent { ... { latest { value } } } }""",
        "query($no: Boolean!) { agents { nodes { latest @skip(if: $no) { value } } } }",
        "{ agents { nodes { hidden: latest @include(if: false) { value } } } }",
    ],
)
def test_finds_fields_wherever_they_are(text: str) -> None:
    assert dict(access(text).required) == {
        "Query.agents": {Permission.DEVICE_READ},
        "Agent.latest": {Permission.DATA_READ},
    }


def test_a_role_needs_one_permission_of_each_field() -> None:
    own = access("query($u: UUID!) { agent(uuid: $u) { targetState { version } } }")
    assert Role.AGENT in own.roles
    both = access(
        "query($u: UUID!) { agent(uuid: $u) { targetState { version } latest { value } } }"
    )
    assert Role.AGENT not in both.roles
    assert Role.VIEWER in both.roles
    with pytest.raises(Forbidden, match=r"Agent\.latest needs data:read") as caught:
        both.check(Caller(Role.AGENT, 1))
    assert caught.value.facts == {"permission": "data:read", "fields": ["Agent.latest"]}
    with pytest.raises(Unauthenticated):
        both.check(NOBODY)


async def test_nothing_runs_for_whom_one_field_is_not(ctx: Context) -> None:
    text = """mutation {
      login(username: "nobody at all", password: "x") { accessToken }
      createProvisioningKey { key }
    }"""
    refused = await answer(as_role(ctx, Role.VIEWER), text)
    assert not refused.is_executed
    assert "data" not in refused.body()
    assert refused.errors[0].extensions == {
        "code": "FORBIDDEN",
        "permission": "provisioning:manage or system",
        "fields": ["Mutation.createProvisioningKey"],
    }
    nobody = await answer(as_nobody(ctx), text)
    assert nobody.errors[0].extensions == {"code": "UNAUTHENTICATED"}


async def test_the_answer_to_a_proof_lets_nobody_read_on(ctx: Context) -> None:
    text = """mutation($u: UUID!) { exchangeKey(uuid: $u, signature: "", deviceKey: "") {
      agent { targetState { apps } } } }"""
    found = await answer(as_nobody(ctx), text, {"u": str(ctx.ids.uuid())})
    assert not found.is_executed
    assert found.errors[0].extensions == {"code": "UNAUTHENTICATED"}


async def test_subscriptions_are_refused_before_they_open(ctx: Context) -> None:
    async with follow(as_role(ctx, Role.AGENT), "subscription { readings { metric } }") as answers:
        (refused,) = [each async for each in answers]
    assert not refused.is_executed
    (error,) = refused.body()["errors"]
    assert error["extensions"]["fields"] == ["Subscription.readings"]


@pytest.mark.parametrize(
    ("policy", "role", "code"),
    [
        ("open", Role.NOBODY, None),
        ("signed-in", Role.NOBODY, "UNAUTHENTICATED"),
        ("signed-in", Role.VIEWER, None),
        ("signed-in", Role.AGENT, None),
        ("off", Role.OWNER, "FORBIDDEN"),
        ("off", Role.NOBODY, "FORBIDDEN"),
    ],
)
async def test_the_schema_is_shown_to_whom_the_setting_says(
    ctx: Context, policy: str, role: Role, code: str | None
) -> None:
    engine = Engine(schema, Limits(introspection=policy))  # type: ignore[arg-type]  # one of three
    caller = as_role(ctx, role)
    for text in (
        "{ __schema { queryType { name } } }",
        '{ ...T } fragment T on Query { __type(name: "Me") { name } }',
    ):
        found = await answer(caller, text, engine=engine)
        codes = [error["extensions"]["code"] for error in found.body().get("errors", ())]
        assert codes == ([code] if code else [])
    assert (await answer(caller, "{ __typename }", engine=engine)).data == {"__typename": "Query"}
