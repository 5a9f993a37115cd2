"""What goes into an execution and what comes out, as every transport sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """One operation as a client asks for it; shapes are checked by the transport."""

    query: str
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None


@dataclass(slots=True)
class Answer:
    """What an operation came to.

    Attributes:
        data: the result; None when a root field that must not be null failed.
        errors: errors as callers may see them (schema/errors.py).
        is_executed: False when the request was refused before anything ran; the body then has
            no member `data`, and transports may answer with a status of their own.
        extensions: what is told beside, such as the cost.
    """

    data: dict[str, Any] | None
    errors: Sequence[GraphQLError] = ()
    is_executed: bool = True
    extensions: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the response map of the GraphQL specification."""
        body: dict[str, Any] = {}
        if self.errors:
            body["errors"] = [error.formatted for error in self.errors]
        if self.is_executed:
            body["data"] = self.data
        if self.extensions:
            body["extensions"] = self.extensions
        return body


class Refused(Exception):
    """A request that was refused before anything ran."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.answer = Answer(None, errors, is_executed=False)
