"""Which subscriptions are the same one, and what they follow."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    Node,
    VariableNode,
    Visitor,
    value_from_ast_untyped,
    visit,
)

from core.access import permissions_of
from core.callers import Caller, Role
from core.context import Context
from core.feeds import Feed
from schema.context import GraphQLContext
from schema.execution.documents import Prepared

RESUME_ARGUMENT: Final = "after"
"""Says where one follower goes on; what happens from now on does not depend on it."""


class SourceFeed(Feed[Any, None]):
    """Any other source of events: no prelude, and nothing may be lost."""

    has_prelude = False

    def __init__(self, source: AsyncIterable[Any]) -> None:
        self.source = source

    @asynccontextmanager
    async def live(self) -> AsyncIterator[AsyncIterator[Any]]:
        """Iterate over the source, and close it."""
        iterator = aiter(self.source)
        try:
            yield iterator
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

    async def prelude(self, since: None) -> tuple[None, AsyncGenerator[Any, None]]:
        """Return nothing."""
        return since, _nothing()

    def beyond(self, event: Any, mark: None) -> Any:
        """Return the event."""
        return event

    def is_past(self, event: Any, mark: None) -> bool:
        """Whether there is no mark: always."""
        return True

    def key(self, event: Any) -> Hashable:
        """Return None."""
        return None


async def _nothing() -> AsyncGenerator[Any, None]:
    return
    yield


def is_resumable(source: object) -> bool:
    """Whether what a subscription's resolver returned reads RESUME_ARGUMENT in its prelude only."""
    return isinstance(source, Feed)


def feed_of(source: AsyncIterable[Any]) -> Feed[Any, Any]:
    """Return the source as a feed."""
    return source if isinstance(source, Feed) else SourceFeed(source)


def group_key(
    prepared: Prepared, variables: Mapping[str, Any], caller: Caller, *, resumable: bool
) -> Hashable:
    """Return what two subscriptions have in common when one answer serves both.

    That is the tenant, the permissions, who the caller is unless it is a person, the operation
    and the variables; with `resumable` but for those that only say where to go on.
    """
    told = _told(prepared)
    left_out = told.resume_only if resumable else frozenset()
    given = {
        name: variables.get(name, default)
        for name, default in told.defaults.items()
        if name not in left_out and (name in variables or default is not _ABSENT)
    }
    text = json.dumps(given, sort_keys=True, separators=(",", ":"))
    who = replace(impersonal(caller), role=Role.NOBODY)
    return prepared, permissions_of(caller), who, text


def impersonal(caller: Caller) -> Caller:
    """Return the caller without the person and its credential."""
    return replace(caller, user_id=None, session_id=None, api_key_id=None)


def impersonal_context(ctx: Context) -> GraphQLContext:
    """Return a context for a group: of its first member only the tenant and what it may do."""
    return GraphQLContext(
        replace(
            ctx,
            caller=impersonal(ctx.caller),
            request_id=f"live-{ctx.ids.secret_hex(8)}",
            remote_address="",
            user_agent="",
        )
    )


_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class _Told:
    """What an operation says of its variables."""

    defaults: Mapping[str, Any]
    resume_only: frozenset[str]


_KNOWN: Final[WeakKeyDictionary[Prepared, _Told]] = WeakKeyDictionary()
"""Does not keep operations that Documents has dropped: a large one takes megabytes."""


def _told(prepared: Prepared) -> _Told:
    found = _KNOWN.get(prepared)
    if found is None:
        found = _KNOWN[prepared] = _Told(_defaults(prepared), _resume_only(prepared))
    return found


def _defaults(prepared: Prepared) -> Mapping[str, Any]:
    """Return the default of each variable the operation declares, by name."""
    return {
        node.variable.name.value: (
            _ABSENT if node.default_value is None else value_from_ast_untyped(node.default_value)
        )
        for node in prepared.operation.variable_definitions or ()
    }


def _resume_only(prepared: Prepared) -> frozenset[str]:
    """Return the variables that stand nowhere but as the root field's RESUME_ARGUMENT."""
    resuming = [
        argument.value
        for field in prepared.operation.selection_set.selections
        if isinstance(field, FieldNode)
        for argument in field.arguments or ()
        if argument.name.value == RESUME_ARGUMENT and isinstance(argument.value, VariableNode)
    ]
    uses = _Uses()
    for part in (prepared.operation.selection_set, *(prepared.operation.directives or ())):
        visit(part, uses)
    for definition in prepared.document.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            visit(definition, uses)
    elsewhere = {node.name.value for node in uses.found if not any(node is r for r in resuming)}
    return frozenset(node.name.value for node in resuming) - elsewhere


class _Uses(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[VariableNode] = []

    def enter_variable(self, node: VariableNode, *_: Node) -> None:
        self.found.append(node)
