"""What a field says of itself beyond its type: whom it is for, and how long its lists are."""

from __future__ import annotations

from typing import Any, TypeVar

import strawberry
from graphql import GraphQLField
from strawberry.schema_directive import Location

from core.access import USE_CASES

T = TypeVar("T")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="requires",
    description="The caller needs one of these permissions. An operation is refused as a whole, "
    "before anything runs, when one of its fields is not for the caller.",
)
class Requires:
    """The permissions of the use case behind a field."""

    any: list[str]


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="listSize",
    repeatable=True,
    description="How long the field's list is taken to be when an operation's cost is counted: as "
    "`argument` says, else `assumed`. With `fields` it is about lists and columns of the object, "
    "as dotted paths.",
)
class ListSize:
    """A hint for schema/execution/cost.py."""

    assumed: int
    argument: str | None = strawberry.UNSET  # left out of the printed schema, unlike None
    fields: list[str] | None = strawberry.UNSET


def requires(use_case: str) -> Requires:
    """Return whom a field is for: those who may call the use case, a name of USE_CASES."""
    return Requires(any=[*USE_CASES[use_case].permissions])


def list_size(assumed: int, **hint: Any) -> ListSize:
    """Return how long a list is; `argument` and `fields` as the directive has them."""
    return ListSize(assumed=assumed, **hint)


def directives_of(field: GraphQLField, kind: type[T]) -> list[T]:
    """Return the directives of one kind on a field of the schema."""
    definition = field.extensions.get("strawberry-definition")
    return [each for each in getattr(definition, "directives", ()) if isinstance(each, kind)]
