"""Documents, read and judged once per text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)

from core.errors import ErrorCode
from schema.execution.cost import Formula, IntrospectionBound, cost_of
from schema.execution.permissions import Access
from schema.execution.plan import Plan, compile_plan
from schema.execution.requests import Refused
from schema.execution.selections import fragments_of
from schema.limits import Limits, too_large

TEXT_CHARS_MAX: Final = 512 * 1024
"""Of all texts that are kept; what is made of them takes up to two hundred times as much."""

REFUSED_MAX: Final = 100
REFUSED_TEXT_MAX: Final = 16 * 1024
ERRORS_MAX: Final = 20
MESSAGE_MAX: Final = 500
NAME_MAX: Final = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Prepared:
    """One operation of a document that may run: it stays the same object for the same text.

    Attributes:
        access: whom it is for.
        cost: what it costs; None: nobody counts.
        plan: how to run it; None: graphql-core runs it.
    """

    document: DocumentNode
    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    access: Access
    cost: Formula | None
    plan: Plan | None

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.operation.operation

    @property
    def root_field(self) -> str:
        """The first field it asks for, as `Mutation.login`, whatever its alias."""
        first = self.operation.selection_set.selections[0]
        name = first.name.value if isinstance(first, FieldNode) else "…"
        return f"{self.type.value.capitalize()}.{name}"

    @property
    def operation_name(self) -> str | None:
        """The operation's own name, if it has one."""
        return self.operation.name.value if self.operation.name else None


Operations = Mapping[str | None, Prepared]


class Documents:
    """The documents seen lately: parsed, validated and prepared once each.

    Once there is no room, a text that comes for the first time is remembered apart, with few
    others of its kind, and kept when it comes again. Texts that nobody repeats therefore push out
    only each other.
    """

    def __init__(self, schema: GraphQLSchema, limits: Limits) -> None:
        self._schema = schema
        self._limits = limits
        self._introspection = IntrospectionBound(schema)
        entries = limits.documents_max
        self._kept: _Recent[Operations] = _Recent(entries, TEXT_CHARS_MAX)
        self._new: _Recent[Operations] = _Recent(max(1, entries // 5), TEXT_CHARS_MAX // 5)
        self._refused: _Recent[list[GraphQLError]] = _Recent(REFUSED_MAX, TEXT_CHARS_MAX // 5)

    def prepare(self, text: str, operation_name: str | None = None) -> Prepared:
        """Return the operation to run; raises Refused for a document that may not run."""
        found = self._kept.get(text) or self._known(text)
        prepared = found.get(operation_name)
        if prepared is None:
            raise Refused([_no_such_operation(operation_name)])
        return prepared

    def prepare_document(self, document: DocumentNode, operation_name: str | None) -> Prepared:
        """Return an operation of our own: valid already, of any size, at any cost."""
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                name = node.name.value if node.name else None
                if operation_name in {None, name}:
                    return self._prepared(document, node, None)
        raise Refused([_no_such_operation(operation_name)])

    def _known(self, text: str) -> Operations:
        found = self._new.pop(text)
        if found is not None:
            self._kept.put(text, found)
            return found
        errors = self._refused.get(text)
        if errors is None:
            try:
                found = self._judge(text)
            except Refused as refused:
                errors = [_plain(error) for error in refused.answer.errors]
                if len(text) <= REFUSED_TEXT_MAX:
                    self._refused.put(text, errors)
            else:
                (self._kept if self._kept.has_room_for(text) else self._new).put(text, found)
                return found
        raise Refused(errors)

    def _judge(self, text: str) -> Operations:
        if len(text) > self._limits.chars_max:
            found = f"{len(text)} characters; the limit is {self._limits.chars_max}"
            raise Refused([GraphQLError(f"This document has {found}.")])
        try:
            document = parse(text, max_tokens=self._limits.tokens_max)
            errors = self._mistakes(document)
        except GraphQLSyntaxError as error:
            errors = [error]
        except RecursionError:  # the parser bounds one selection, not fragments in fragments
            errors = [GraphQLError("This document nests too deeply.")]
        if errors:
            raise Refused(errors)
        operations: dict[str | None, Prepared] = {}
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                each = self._prepared(document, node, cost_of(self._schema, document, node))
                operations[each.operation_name] = each
        if len(operations) == 1:
            operations[None] = next(iter(operations.values()))
        return operations

    def _mistakes(self, document: DocumentNode) -> list[GraphQLError]:
        return (
            too_large(document, self._limits)
            or validate(
                self._schema,
                document,
                specified_rules,
                max_errors=ERRORS_MAX,
                hide_suggestions=self._limits.introspection != "open",
                allow_empty_selection_sets=False,
            )
            or self._too_curious(document)
        )

    def _too_curious(self, document: DocumentNode) -> list[GraphQLError]:
        return [
            GraphQLError("This operation asks for too much of the schema at once.", node)
            for node in document.definitions
            if isinstance(node, OperationDefinitionNode)
            and self._introspection.is_exceeded(document, node)
        ]

    def _prepared(
        self, document: DocumentNode, operation: OperationDefinitionNode, cost: Formula | None
    ) -> Prepared:
        return Prepared(
            document,
            operation,
            fragments_of(document),
            Access.to(self._schema, document, operation),
            cost,
            compile_plan(self._schema, document, operation),
        )


class _Recent(Generic[T]):
    """What was used last, by text; bounded in number and in characters."""

    def __init__(self, entries_max: int, characters_max: int) -> None:
        self._entries_max = entries_max
        self._characters_max = characters_max
        self._characters = 0
        self._entries: OrderedDict[str, T] = OrderedDict()

    def has_room_for(self, text: str) -> bool:
        return (
            len(self._entries) < self._entries_max
            and self._characters + len(text) <= self._characters_max
        )

    def get(self, text: str) -> T | None:
        found = self._entries.get(text)
        if found is not None:
            self._entries.move_to_end(text)
        return found

    def put(self, text: str, value: T) -> None:
        if len(text) > self._characters_max // 4:
            return  # one text must not push out all others
        self.pop(text)
        self._entries[text] = value
        self._characters += len(text)
        while len(self._entries) > self._entries_max or self._characters > self._characters_max:
            oldest, _ = self._entries.popitem(last=False)
            self._characters -= len(oldest)

    def pop(self, text: str) -> T | None:
        found = self._entries.pop(text, None)
        if found is not None:
            self._characters -= len(text)
        return found


def _plain(error: GraphQLError) -> GraphQLError:
    """Return the error without the document, which would live as long as it is remembered."""
    code = ErrorCode.INVALID_INPUT.value
    plain = GraphQLError(error.message[:MESSAGE_MAX], extensions={"code": code})
    plain.locations = error.locations
    return plain


def _no_such_operation(name: str | None) -> GraphQLError:
    if name is None:
        return GraphQLError("The document has several operations; operationName must name one.")
    return GraphQLError(f"The document has no operation named {name[:NAME_MAX]!r}.")
