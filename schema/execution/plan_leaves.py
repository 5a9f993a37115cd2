"""Scalars and enums in the plan: which values go out as they are, which are coerced, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from math import isfinite
from types import NoneType
from typing import Any
from uuid import UUID

import numpy as np
from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
)
from graphql.execution import Executor
from strawberry.schema.schema_converter import CustomGraphQLEnumType

IMMUTABLE = frozenset(
    {NoneType, bool, int, float, str, bytes, UUID, date, datetime, time, timedelta, Decimal}
)
PLAIN = IMMUTABLE | {list, tuple, dict, np.ndarray}
"""Types whose values are never awaitable, and never errors to raise."""

_VALUES = PLAIN - {NoneType}
NULL = frozenset({NoneType})


@dataclass(frozen=True, slots=True)
class Leaf:
    """What becomes of the values of one scalar or enum, by their exact type.

    Values of types in `as_is` are the result, those of types in `kinds` go through `coerce`;
    what is of another type needs a closer look (plan_steps.py).
    """

    as_is: frozenset[type]
    kinds: frozenset[type]
    coerce: Callable[[Any], Any]

    @classmethod
    def of(cls, type_: GraphQLLeafType, *, required: bool) -> Leaf:
        """Return the leaf; unless `required`, null goes out as it is."""
        null: frozenset[type] = frozenset() if required else NULL
        coerce = partial(Executor.complete_leaf_value, type_)
        if type_ is GraphQLString or type_ is GraphQLID:
            return cls(null | {str}, _VALUES, coerce)
        if type_ is GraphQLBoolean:
            return cls(null | {bool}, _VALUES, coerce)
        if type_ is GraphQLInt:
            return cls(null, _VALUES, _int)
        if type_ is GraphQLFloat:
            return cls(null, _VALUES, _float)
        if isinstance(type_, GraphQLEnumType):
            return _enum(type_, null, coerce)
        return cls(null, _VALUES, coerce)


def _int(value: Any) -> Any:
    if type(value) is int and GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT:
        return value
    return Executor.complete_leaf_value(GraphQLInt, value)


def _float(value: Any) -> Any:
    if type(value) is float and isfinite(value):
        return value
    return Executor.complete_leaf_value(GraphQLFloat, value)


def _enum(type_: GraphQLEnumType, null: frozenset[type], coerce: Callable[[Any], Any]) -> Leaf:
    if type(type_) is not CustomGraphQLEnumType:
        return Leaf(null, _VALUES, coerce)
    members: Any = type_.wrapped_cls
    names = {member: type_.coerce_output_value(member) for member in members}

    def name_of(value: Any) -> Any:
        # Only members are looked up: a text that equals one would find it, and is no member.
        return names[value] if type(value) is members and value in names else coerce(value)

    return Leaf(null, _VALUES | {members}, name_of)
