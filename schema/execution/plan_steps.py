"""The compiled operation: fields, selections and values, as graphql-core's Executor does them.

Each run drives an Executor of graphql-core, which collects the errors and does whatever is rare:
async iterables, abstract types, introspection. What is common is done here, by steps that know
beforehand what the Executor finds out for each field of each object.

A place in the answer is a tuple `(place of the parent, key or index, name of the type)`: the
content of graphql-core's Path, which is built from it where somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    default_field_resolver,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.executor import collect_iterator_awaitables
from graphql.pyutils import Path, Undefined, gather_with_cancel, is_awaitable, is_iterable

from schema.execution.plan_leaves import NULL, PLAIN, Leaf
from schema.execution.plan_reading import Reader, arguments_of

Run: TypeAlias = Executor[Any]
Place: TypeAlias = "tuple[Place | None, str | int, str | None]"
_NO_TYPES: frozenset[type] = frozenset()


class Field:
    """One field of a selection: everything about it that is the same in every run."""

    def __init__(
        self, key: str, details: list[FieldDetails], parent: GraphQLObjectType, field: GraphQLField
    ) -> None:
        self.key = key
        self.details = details
        self.nodes: list[FieldNode] = [each.node for each in details]
        self.parent = parent
        self.definition = field
        self.type: GraphQLOutputType = field.type
        self.resolve: Callable[..., Any] = field.resolve or default_field_resolver
        self.arguments = arguments_of(field, self.nodes[0])
        self.reader: Reader | None = None
        self.value: Value

    def info(self, run: Run, place: Place) -> GraphQLResolveInfo[Any]:
        """Return what resolvers are told about the field at this place or at one of its items."""
        while isinstance(place[1], int):
            assert place[0] is not None
            place = place[0]
        return run.build_resolve_info(self.definition, self.nodes, self.parent, path_of(place))

    def execute(self, run: Run, source: Any, parent: Place | None) -> Any:
        """Return the field's completed value, or an awaitable of it."""
        place: Place = (parent, self.key, self.parent.name)
        try:
            if self.reader is not None:
                found = self.reader(source)
            else:
                found = self.resolve(source, self.info(run, place), **self.arguments(run))
            return self.complete(run, found, place)
        except Exception as error:
            return nulled(run, error, self, self.type, place)

    def complete(self, run: Run, found: Any, place: Place) -> Any:
        """Return what a resolved value becomes, or an awaitable of it; raises what goes wrong."""
        if type(found) not in PLAIN and is_awaitable(found):
            return self._later(run, found, place)
        return settled(run, self.value.complete(run, found, place), self, self.type, place)

    async def _later(self, run: Run, found: Awaitable[Any], place: Place) -> Any:
        try:
            completed = self.value.complete(run, await found, place)
            if type(completed) not in PLAIN and is_awaitable(completed):
                completed = await completed
        except Exception as error:
            return nulled(run, error, self, self.type, place)
        return completed


class StockField(Field):
    """A field that graphql-core executes: introspection."""

    def execute(self, run: Run, source: Any, parent: Place | None) -> Any:
        """Return the field's completed value, or an awaitable of it."""
        path = path_of((parent, self.key, self.parent.name))
        return run.execute_field(self.parent, source, self.details, path, None)


class Selection:
    """The fields to get of an object of one type, in the order of the answer."""

    def __init__(self, parent: GraphQLObjectType, fields: Iterable[Field]) -> None:
        self._name = parent.name
        self.fields = list(fields)
        self._rows = [_row(field) for field in self.fields]

    def execute(self, run: Run, source: Any, place: Place | None) -> Any:
        """Return the object's answer, or an awaitable of it."""
        results: dict[str, Any] = {}
        awaited: list[str] = []
        name = self._name
        try:
            for key, read, as_is, kinds, coerce, field in self._rows:
                if read is None:
                    result = field.execute(run, source, place)
                else:
                    try:
                        result = read(source)
                        kind = type(result)
                        if kind in as_is:
                            results[key] = result
                            continue
                        if kind in kinds:
                            result = coerce(result)
                            if type(result) not in PLAIN:
                                result = settled(run, result, field, field.type, (place, key, name))
                        else:
                            result = field.complete(run, result, (place, key, name))
                    except Exception as error:
                        result = nulled(run, error, field, field.type, (place, key, name))
                results[key] = result
                if type(result) not in PLAIN and is_awaitable(result):
                    awaited.append(key)
        except Exception:
            if awaited:
                run.settle_in_background([results[key] for key in awaited])
            raise
        return _gathered(results, awaited) if awaited else results

    def execute_serially(self, run: Run, source: Any) -> Any:
        """Return the answer of a mutation, or an awaitable of it: one field after the other."""
        results: dict[str, Any] = {}
        fields = iter(self.fields)
        for field in fields:
            result = field.execute(run, source, None)
            if type(result) not in PLAIN and is_awaitable(result):
                return self._rest(run, source, results, fields, field.key, result)
            results[field.key] = result
        return results

    @staticmethod
    async def _rest(
        run: Run,
        source: Any,
        results: dict[str, Any],
        fields: Iterable[Field],
        key: str,
        first: Awaitable[Any],
    ) -> dict[str, Any]:
        results[key] = await first
        for field in fields:
            result = field.execute(run, source, None)
            if type(result) not in PLAIN and is_awaitable(result):
                result = await result
            results[field.key] = result
        return results


class Value:
    """What becomes of a value at one level of a field's type; this one leaves it to graphql-core.

    As for a Leaf, values of types in `as_is` need no completion and those in `kinds` only `coerce`.
    """

    as_is = _NO_TYPES
    kinds = _NO_TYPES
    coerce: Callable[[Any], Any]

    def __init__(self, field: Field, type_: GraphQLOutputType, *, required: bool) -> None:
        self.field = field
        self.type = type_
        self.required = required

    def complete(self, run: Run, found: Any, place: Place) -> Any:
        """Return the completed value, or an awaitable of it; raises what goes wrong."""
        field = self.field
        return run.complete_value(
            self.type, field.details, field.info(run, place), path_of(place), found, None
        )


class KnownValue(Value):
    """A value whose completion is known; `type` is then the type without its `!`."""

    def __init__(self, field: Field, type_: GraphQLOutputType, *, required: bool) -> None:
        super().__init__(field, type_, required=required)
        self.as_is = _NO_TYPES if required else NULL

    def complete(self, run: Run, found: Any, place: Place) -> Any:
        """Return the completed value, or an awaitable of it; raises what goes wrong."""
        if isinstance(found, Exception):
            raise found
        if found is None or found is Undefined:
            if self.required:
                field = self.field
                raise TypeError(
                    "Cannot return null for non-nullable field"
                    f" {field.parent}.{field.nodes[0].name.value}."
                )
            return None
        return self.complete_present(run, found, place)

    def complete_present(self, run: Run, found: Any, place: Place) -> Any:
        """Do the same for a value that is neither null nor an error."""
        raise NotImplementedError


class LeafValue(KnownValue):
    """A scalar or an enum."""

    def __init__(self, field: Field, type_: Any, *, required: bool) -> None:
        super().__init__(field, type_, required=required)
        leaf = Leaf.of(type_, required=required)
        self.as_is, self.kinds, self.coerce = leaf.as_is, leaf.kinds, leaf.coerce

    def complete_present(self, run: Run, found: Any, place: Place) -> Any:
        """Return the scalar as it goes out."""
        return self.coerce(found)


class ObjectValue(KnownValue):
    """An object of a type that is known."""

    def __init__(self, field: Field, type_: Any, selection: Selection, *, required: bool) -> None:
        super().__init__(field, type_, required=required)
        self._selection = selection

    def complete_present(self, run: Run, found: Any, place: Place) -> Any:
        """Return the object's answer, or an awaitable of it."""
        return self._selection.execute(run, found, place)


class ListValue(KnownValue):
    """A list, whose items are `item`, and of type `item_type` as the schema says it."""

    def __init__(
        self, field: Field, type_: GraphQLList[Any], item: Value, *, required: bool
    ) -> None:
        super().__init__(field, type_, required=required)
        self.list_type = type_
        self.item = item
        self.item_type: GraphQLOutputType = type_.of_type

    def complete_present(self, run: Run, found: Any, place: Place) -> Any:
        """Return the list of completed items, or an awaitable of it."""
        field = self.field
        if type(found) is not list and (hasattr(found, "__aiter__") or not is_iterable(found)):
            return run.complete_list_value(
                self.list_type, field.details, field.info(run, place), path_of(place), found, None
            )
        as_is, kinds, coerce = self.item.as_is, self.item.kinds, getattr(self.item, "coerce", None)
        results: list[Any] = []
        awaited: list[int] = []
        items = iter(found)
        try:
            for index, item in enumerate(items):
                kind = type(item)
                if kind in as_is:
                    results.append(item)
                    continue
                result = self._item(
                    run, item, (place, index, None), coerce if kind in kinds else None
                )
                results.append(result)
                if type(result) not in PLAIN and is_awaitable(result):
                    awaited.append(index)
        except Exception:
            left = [results[index] for index in awaited]
            left += collect_iterator_awaitables(items, is_awaitable)
            if left:
                run.settle_in_background(left)
            raise
        return _gathered(results, awaited) if awaited else results

    def _item(self, run: Run, item: Any, place: Place, coerce: Callable[[Any], Any] | None) -> Any:
        field = self.field
        if type(item) not in PLAIN and is_awaitable(item):
            return run.complete_awaitable_list_item_value(
                item, self.item_type, field.details, field.info(run, place), path_of(place), None
            )
        try:
            result = coerce(item) if coerce else self.item.complete(run, item, place)
            return settled(run, result, field, self.item_type, place)
        except Exception as error:
            return nulled(run, error, field, self.item_type, place)


def path_of(place: Place) -> Path:
    """Return the place as graphql-core's Path."""
    parent, key, name = place
    return Path(None if parent is None else path_of(parent), key, name)


def nulled(run: Run, error: Exception, field: Field, type_: GraphQLOutputType, place: Place) -> Any:
    """Note the error and stand for null; raises it, located, where null is not allowed."""
    run.handle_field_error(error, type_, field.details, path_of(place))


def settled(run: Run, result: Any, field: Field, type_: GraphQLOutputType, place: Place) -> Any:
    """Return the result; an awaitable one is wrapped, so that its error ends at this place."""
    if type(result) in PLAIN or not is_awaitable(result):
        return result

    async def guarded() -> Any:
        try:
            return await result
        except Exception as error:
            return nulled(run, error, field, type_, place)

    return guarded()


async def _gathered(results: Any, awaited: list[Any]) -> Any:
    """Await what is awaitable in a list or a map, side by side, and return the whole."""
    if len(awaited) == 1:
        results[awaited[0]] = await results[awaited[0]]
    else:
        found = await gather_with_cancel(*(results[key] for key in awaited))
        for key, value in zip(awaited, found, strict=True):
            results[key] = value
    return results


def _row(field: Field) -> tuple[Any, ...]:
    value = getattr(field, "value", None)
    if not isinstance(value, LeafValue) or field.reader is None:
        return field.key, None, _NO_TYPES, _NO_TYPES, None, field
    return field.key, field.reader, value.as_is, value.kinds, value.coerce, field
