"""Documents, read and judged once per text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)

from schema.execution.requests import Refused


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One operation of a document that may run: it stays the same object for the same text."""

    document: DocumentNode
    operation: OperationDefinitionNode

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.operation.operation

    @property
    def operation_name(self) -> str | None:
        """The operation's own name, if it has one."""
        return self.operation.name.value if self.operation.name else None


class Documents:
    """The documents seen lately: parsed, validated and prepared once each."""

    def __init__(
        self,
        schema: GraphQLSchema,
        rules: Collection[type[ASTValidationRule]],
        *,
        tokens_max: int,
        entries_max: int,
    ) -> None:
        self._schema = schema
        self._rules = (*specified_rules, *rules)
        self._tokens_max = tokens_max
        self._entries_max = entries_max
        self._known: OrderedDict[str, dict[str | None, Prepared] | list[GraphQLError]] = (
            OrderedDict()
        )

    def prepare(self, text: str, operation_name: str | None = None) -> Prepared:
        """Return the operation to run; raises Refused for a document that may not run."""
        known = self._known.get(text)
        if known is None:
            known = self._judge(text)
            self._known[text] = known
            if len(self._known) > self._entries_max:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(text)
        if isinstance(known, list):
            raise Refused(known)
        found = known.get(operation_name)
        if found is None:
            raise Refused([_no_such_operation(operation_name)])
        return found

    def _judge(self, text: str) -> dict[str | None, Prepared] | list[GraphQLError]:
        try:
            document = parse(text, max_tokens=self._tokens_max)
        except GraphQLSyntaxError as error:
            return [error]
        errors = validate(self._schema, document, self._rules)
        if errors:
            return errors
        prepared: dict[str | None, Prepared] = {}
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                each = Prepared(document, node)
                prepared[each.operation_name] = each
        if len(prepared) == 1:
            prepared[None] = next(iter(prepared.values()))
        return prepared


def _no_such_operation(name: str | None) -> GraphQLError:
    if name is None:
        return GraphQLError("The document has several operations; operationName must name one.")
    return GraphQLError(f"The document has no operation named {name!r}.")
