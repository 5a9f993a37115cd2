"""However long a list is, the database is asked as often: counted for each list of the schema."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from graphql import (
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

from core.context import Context
from schema.root import schema
from tests.schema import lists as of_lists
from tests.schema.asking import ask
from tests.schema.lists.case import Make

pytestmark = pytest.mark.slow

FEW, MANY = 2, 20
DRIVERS_OWN = ("typeinfo_tree", "'jit'")  # looks at types once per connection

MODULES = [
    importlib.import_module(f"{of_lists.__name__}.{info.name}")
    for info in pkgutil.iter_modules(of_lists.__path__)
    if info.name != "case"
]
CASES: dict[str, tuple[Make, str]] = {
    name: case for module in MODULES for name, case in module.CASES.items()
}


def lists() -> Iterator[str]:
    for type_ in schema._schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                of_objects = is_composite_type(get_named_type(field.type))
                if of_objects and is_list_type(get_nullable_type(field.type)):
                    yield f"{type_.name}.{name}"


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the statements of all connections of the process, whoever sends them."""
    sent: list[str] = []
    inner = asyncpg.Connection._do_execute

    async def noted(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(part in str(query) for part in DRIVERS_OWN):
            sent.append(str(query))
        return await inner(self, query, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "_do_execute", noted)
        yield sent


def test_each_list_of_the_schema_has_a_case() -> None:
    of_streams = {"LogTailBatch.lines"}  # read before the batch is told
    assert set(lists()) == set(CASES) | of_streams


def _length(data: Any) -> int:
    """Return how long the longest list in an answer is."""
    if isinstance(data, dict):
        return max((_length(each) for each in data.values()), default=0)
    if isinstance(data, list):
        return max([len(data), *map(_length, data)])
    return 0


@pytest.mark.parametrize("name", CASES)
async def test_asks_as_often_for_many_rows_as_for_few(
    ctx: Context, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, text = CASES[name]
    found = []
    for number in (FEW, MANY):
        variables = await make(ctx, number)
        await ask(ctx, text, **variables)  # what is looked up once per process is known then
        with counted(monkeypatch) as sent:
            data = await ask(ctx, text, **variables)
        assert _length(data) >= number
        found.append(sent)
    few, many = found
    assert 0 < len(few) == len(many), (few, many)
