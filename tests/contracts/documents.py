"""Operations made from the schema, so that no field is forgotten and none is written twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_object_type,
    is_required_argument,
    is_union_type,
)

from core.access import Permission, holds
from core.callers import Caller
from schema.directives import Requires, directives_of
from schema.root import schema

GRAPH = schema._schema
ROOTS = ("Query", "Mutation", "Subscription")


def root_fields(*roots: str) -> Iterator[str]:
    """Yield `Query.me` and so on; of all three roots by default."""
    for root in roots or ROOTS:
        yield from (f"{root}.{name}" for name in _type(root).fields)


def guarded_fields() -> Iterator[str]:
    """Yield every field below the roots that says whom it is for."""
    for type_ in GRAPH.type_map.values():
        if isinstance(type_, GraphQLObjectType) and type_.name not in ROOTS:
            for name, field in type_.fields.items():
                if directives_of(field, Requires):
                    yield f"{type_.name}.{name}"


def field_of(name: str) -> GraphQLField:
    """Return the field that `Agent.latest` names."""
    parent, _, own = name.partition(".")
    found: GraphQLField = _type(parent).fields[own]
    return found


def permissions_of(name: str) -> frozenset[Permission]:
    """Return what a field needs one of; empty when it says nothing."""
    hints = directives_of(field_of(name), Requires)
    return frozenset(Permission(each) for hint in hints for each in hint.any)


def admits(name: str, caller: Caller) -> bool:
    """Whether the caller may ask for the field, by what the schema says."""
    wanted = permissions_of(name)
    return not wanted or any(holds(caller, permission) for permission in wanted)


def way_to(name: str) -> list[str]:
    """Return the fields from a root to this one, itself included; the shortest way."""
    parent = name.partition(".")[0]
    if parent in ROOTS:
        return [name]
    ways = deque([field] for field in root_fields("Query", "Mutation"))
    seen: set[str] = set()
    while ways:
        way = ways.popleft()
        found = get_named_type(field_of(way[-1]).type)
        if found.name == parent:
            return [*way, name]
        if isinstance(found, GraphQLObjectType) and found.name not in seen:
            seen.add(found.name)
            ways += [[*way, f"{found.name}.{own}"] for own in _free_fields(found)]
    raise AssertionError(f"no way leads to {name}")


def operation(way: list[str], arguments: Mapping[str, Any], selection: str = "") -> str:
    """Return the operation that asks for the last field of a way; its variables are `arguments`.

    `selection` is what to ask of the last field, by default no more than its type's name.
    """
    first = way[0].partition(".")
    field = field_of(way[0])
    unknown = sorted(set(arguments) - set(field.args))
    assert not unknown, f"{way[0]} has no argument {unknown}: change its case"
    heads = ", ".join(f"${name}: {field.args[name].type}" for name in arguments)
    given = ", ".join(f"{name}: ${name}" for name in arguments)
    inner = selection or (
        "" if is_leaf_type(get_named_type(field_of(way[-1]).type)) else "{ __typename }"
    )
    for step in reversed(way[1:]):
        inner = f"{{ {step.partition('.')[2]} {inner} }}"
    head, given = (f"({text})" if text else "" for text in (heads, given))
    return f"{first[0].lower()}{head} {{ {first[2]}{given} {inner} }}"


def everything(name: str, caller: Caller, depth: int = 5) -> str:
    """Return the selection of all that the caller may see below a field."""
    return _selection(get_named_type(field_of(name).type), caller, depth, ())


def is_of_lists(name: str) -> bool:
    """Whether a field answers a list, or a page of one."""
    type_ = field_of(name).type
    named = get_named_type(type_)
    return is_list_type(get_nullable_type(type_)) or (
        is_object_type(named) and "nodes" in named.fields
    )


def id_arguments(name: str) -> Iterator[str]:
    """Yield the dotted paths of a field's arguments that are uuids or lists of them."""
    for own, argument in field_of(name).args.items():
        yield from _ids(own, argument.type, ())


def _ids(path: str, type_: Any, above: tuple[str, ...]) -> Iterator[str]:
    named = get_named_type(type_)
    if named.name == "UUID":
        yield path
    elif is_input_object_type(named) and named.name not in above:
        for own, field in named.fields.items():
            yield from _ids(f"{path}.{own}", field.type, (*above, named.name))


def _selection(type_: Any, caller: Caller, depth: int, above: tuple[str, ...]) -> str:
    if is_leaf_type(type_):
        return ""
    if is_union_type(type_):
        forms = [
            f"... on {each.name} {_selection(each, caller, depth, above)}" for each in type_.types
        ]
        return f"{{ {' '.join(forms)} }}"
    asked = ["__typename"]
    for own, field in type_.fields.items():
        named = get_named_type(field.type)
        is_deep = not is_leaf_type(named)
        if is_deep and (not depth or named.name in above):
            continue
        if own in _free_fields(type_) and admits(f"{type_.name}.{own}", caller):
            asked.append(f"{own} {_selection(named, caller, depth - 1, (*above, type_.name))}")
    return f"{{ {' '.join(asked)} }}"


def _free_fields(type_: GraphQLObjectType) -> list[str]:
    """Return the fields that need no arguments."""
    return [
        name
        for name, field in type_.fields.items()
        if not any(is_required_argument(each) for each in field.args.values())
    ]


def _type(name: str) -> GraphQLObjectType:
    found = GRAPH.type_map[name]
    assert isinstance(found, GraphQLObjectType)
    return found
