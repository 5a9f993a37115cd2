"""Who may call what: the whole list, compared with a file, and refused in practice."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from uuid import UUID

import pytest

import resolvers
from core.access import USE_CASES, UseCase
from core.callers import Caller, Role
from core.context import Context
from core.errors import Forbidden, Unauthenticated

GOLDEN = Path(__file__).parent / "access_matrix.txt"


def modules() -> list[ModuleType]:
    names = [info.name for info in pkgutil.iter_modules(resolvers.__path__)]
    return [importlib.import_module(f"resolvers.{name}") for name in names]


def public_functions() -> Iterator[tuple[str, FunctionType]]:
    for module in modules():
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield f"{module.__name__.removeprefix('resolvers.')}.{name}", function


FUNCTIONS = dict(public_functions())


def matrix() -> str:
    """Return one line per use case, one column per role, `x` where the role may call it."""
    width = max(len(name) for name in FUNCTIONS if name in USE_CASES)
    lines = [" ".join(["use case".ljust(width), *Role]).rstrip()]
    for name in sorted(name for name in FUNCTIONS if name in USE_CASES):
        use_case = USE_CASES[name]
        marks = [("x" if use_case.allows(role) else "-").ljust(len(role)) for role in Role]
        lines.append(" ".join([name.ljust(width), *marks]).rstrip())
    return "\n".join(lines) + "\n"


@pytest.mark.golden
def test_the_matrix_is_the_one_that_was_agreed() -> None:
    if os.environ.get("FLEETGRAPH_TEST_GOLDEN"):
        GOLDEN.write_text(matrix())
    print(matrix())  # noqa: T201
    assert matrix() == GOLDEN.read_text(), "run `make golden` and read the diff"


def test_every_public_coroutine_says_who_may_call_it() -> None:
    open_to_all = [
        name
        for name, function in FUNCTIONS.items()
        if name not in USE_CASES
        and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))
        and "Work" not in function.__annotations__.values()  # a step within a use case
    ]
    assert open_to_all == []


def test_every_use_case_is_a_function_that_exists() -> None:
    assert [name for name in USE_CASES if name not in FUNCTIONS] == []


def refused() -> list[Any]:
    return [
        pytest.param(USE_CASES[name], role, id=f"{name}-{role}")
        for name in sorted(FUNCTIONS)
        for role in Role
        if name in USE_CASES and not USE_CASES[name].allows(role)
    ]


@pytest.mark.parametrize(("use_case", "role"), refused())
async def test_refuses(ctx: Context, use_case: UseCase, role: Role) -> None:
    caller = Caller(
        role,
        ctx.tenant_id if role is not Role.NOBODY else 0,
        user_id=None if role in {Role.AGENT, Role.SYSTEM, Role.NOBODY} else UUID(int=1),
        agent_id=1 if role is Role.AGENT else None,
        agent_uuid=UUID(int=1) if role is Role.AGENT else None,
    )
    error = Unauthenticated if role is Role.NOBODY else Forbidden
    # No arguments: whoever may not call is turned away before they are looked at.
    with pytest.raises(error):
        await FUNCTIONS[use_case.name](ctx.acting_as(caller))
