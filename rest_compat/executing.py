"""Runs an endpoint's operation on the engine that the program hands in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol, runtime_checkable

from graphql import DocumentNode, GraphQLError

from core.errors import AppError
from rest_compat.endpoints import Endpoint
from rest_compat.problem import expected_error


class Answer(Protocol):
    """What an operation came to; unexpected errors are logged by the engine."""

    @property
    def data(self) -> dict[str, Any] | None:
        """The result."""
        ...

    @property
    def errors(self) -> Sequence[GraphQLError]:
        """What went wrong; an expected failure is at the end of `original_error`."""
        ...


class Following(Protocol):
    """An open subscription."""

    def answers(self) -> AsyncGenerator[Answer, None]:
        """Yield the answer to each event."""
        ...


@runtime_checkable
class Refusal(Protocol):
    """An exception of the engine: the operation did not run, for the errors of `answer`."""

    answer: Any


class Engine(Protocol):
    """Runs operations; its methods raise a Refusal when nothing ran."""

    def prepare_document(self, document: DocumentNode, name: str) -> Any:
        """Return an operation of ours, ready to run; limits for strangers do not hold for it."""
        ...

    async def run(self, prepared: Any, variables: Mapping[str, Any] | None, context: Any) -> Answer:
        """Run a query or a mutation."""
        ...

    async def subscribe(
        self, prepared: Any, variables: Mapping[str, Any] | None, context: Any
    ) -> Following:
        """Open a subscription."""
        ...


class Unexpected(AppError):
    """Anything that no use case foresaw; it is in the log already."""


class FailedLater(Exception):
    """An operation did its work before something else failed, which is `error`."""

    def __init__(self, error: AppError) -> None:
        super().__init__(error.message)
        self.error = error


class Operation:
    """The operation of one endpoint, prepared once."""

    def __init__(self, engine: Engine, endpoint: Endpoint) -> None:
        self._engine = engine
        self._endpoint = endpoint
        assert endpoint.operation.name is not None
        self._prepared = engine.prepare_document(endpoint.document, endpoint.operation.name.value)

    async def run(self, variables: Mapping[str, Any], context: object) -> Mapping[str, Any]:
        """Return the data.

        Raises AppError for the first error, within FailedLater when a root field had run by then.
        """
        try:
            answer = await self._engine.run(self._prepared, variables, context)
        except Exception as error:
            raise self._refusal(error) from None
        try:
            return self._data(answer)
        except AppError as error:
            if self._has_worked(answer):
                raise FailedLater(error) from None
            raise

    async def follow(
        self, variables: Mapping[str, Any], context: object
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Open the subscription and return the data of its events. Raises AppError."""
        try:
            following = await self._engine.subscribe(self._prepared, variables, context)
        except Exception as error:
            raise self._refusal(error) from None
        return self._events(following)

    async def _events(self, following: Following) -> AsyncIterator[Mapping[str, Any]]:
        async with aclosing(following.answers()) as answers:
            async for answer in answers:
                yield self._data(answer)

    def _refusal(self, error: Exception) -> Exception:
        return self._first(error.answer.errors) if isinstance(error, Refusal) else error

    def _data(self, answer: Answer) -> Mapping[str, Any]:
        if answer.errors:
            raise self._first(answer.errors)
        return answer.data or {}

    def _has_worked(self, answer: Answer) -> bool:
        """Whether a root field came further than to an error of its own."""
        if any(len(error.path or ()) > 1 for error in answer.errors):
            return True
        if answer.data is None:  # of several, those before the one that failed have run
            return len(self._endpoint.operation.selection_set.selections) > 1
        return any(value is not None for value in answer.data.values())

    def _first(self, errors: Sequence[GraphQLError]) -> AppError:
        expected = expected_error(errors[0], self._endpoint)
        return expected or Unexpected(errors[0].message)
