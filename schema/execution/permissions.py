"""What an operation asks of its caller: found once per document, checked for each request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphql import DocumentNode, GraphQLSchema, OperationDefinitionNode

from core.access import ROLES, Permission, holds, refusal
from core.callers import Caller, Role
from core.errors import Unauthenticated
from schema.directives import Requires, directives_of
from schema.execution.selections import INTROSPECTION, fields_of


@dataclass(frozen=True, slots=True)
class Access:
    """Whom an operation is for.

    Attributes:
        required: permissions by schema field, such as `Agent.latest`; one of each is needed.
        roles: the roles that hold one of each.
        is_introspecting: whether it asks for the schema.
    """

    required: Mapping[str, frozenset[Permission]]
    roles: frozenset[Role]
    is_introspecting: bool

    @classmethod
    def to(
        cls, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
    ) -> Access:
        """Return whom an operation is for, fragments and skipped fields included.

        `@skip` and `@include` change nothing: whether a caller may send an operation does not
        depend on variables.
        """
        required = {}
        is_introspecting = False
        for parent, name, field in fields_of(schema, document, operation):
            if name in INTROSPECTION:
                is_introspecting = True
            for each in directives_of(field, Requires) if field else ():
                required[f"{parent.name}.{name}"] = frozenset(map(Permission, each.any))
        roles = frozenset(
            role for role in Role if all(_holds_one(role, wanted) for wanted in required.values())
        )
        return cls(required, roles, is_introspecting)

    def check(self, caller: Caller) -> None:
        """Raise unless the caller may run the operation; names the fields."""
        if caller.role in self.roles and caller.scopes is None:
            return
        if caller.role is Role.NOBODY:
            raise Unauthenticated
        refused = {
            name: sorted(wanted)
            for name, wanted in sorted(self.required.items())
            if not any(holds(caller, permission) for permission in wanted)
        }
        if not refused:
            return
        sentence = "; ".join(f"{name} needs {' or '.join(each)}" for name, each in refused.items())
        permission = " or ".join(next(iter(refused.values())))
        raise refusal(caller, sentence, permission=permission, fields=list(refused))


def _holds_one(role: Role, permissions: frozenset[Permission]) -> bool:
    return any(role in ROLES[permission] for permission in permissions)
