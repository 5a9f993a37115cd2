"""No tenant reaches another's rows: by what may be called, by what SQL says, by the columns."""

from __future__ import annotations

import ast
import importlib
import re

import pytest

from models.base import GlobalModel, TenantModel
from models.database import DatabaseUrl, open_pool
from tests.source import ROOT, dotted, product, tree

TENANTLESS_TABLES = {
    "tenant",
    "heartbeat",
    "broker_copy",
    "broker_status",
    "journal_horizon",
    "tortoise_migrations",
}
"""Tables of the installation itself."""

SQL_OVER_TENANTS = {
    "journal_new",  # one reader per process serves the listeners of all tenants
    "series_by_id",  # ids come from the journal, whose rows carry the tenant
    "append_journal",
    "insert_staged",
    "resolve_series",
    "upsert_latest",
}
"""Statements that do not start from one tenant: they write rows of several, or read as said."""

SQL_IN_PYTHON = re.compile(
    r"^\s*(select\s.+\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s)",
    re.IGNORECASE | re.DOTALL,
)


def tenant_rows() -> set[str]:
    for name in product():
        if name.startswith("models/") and "migrations" not in name and "__init__" not in name:
            importlib.import_module(name.removesuffix(".py").replace("/", "."))
    return {row.__name__ for row in _subclasses(TenantModel)}


def _subclasses(base: type) -> set[type]:
    direct: set[type] = set(base.__subclasses__())
    return direct.union(*(_subclasses(each) for each in direct))


def unscoped_queries(source: ast.Module, rows: set[str]) -> list[tuple[int, str]]:
    """Return (line, what) for each use of a row class that could reach another tenant's rows.

    Only `of`, `find_row` and `with_any`, which demand a tenant, and `create` with one, may be called on it.
    """
    names = set(rows)
    for node in ast.walk(source):
        if isinstance(node, ast.ImportFrom):
            names |= {a.asname for a in node.names if a.name in rows and a.asname}
    found = []
    for node in ast.walk(source):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        receiver = dotted(node.func.value)
        if receiver.rpartition(".")[2] not in names:
            continue
        method = node.func.attr
        names_tenant = any(keyword.arg == "tenant_id" for keyword in node.keywords)
        if method in {"of", "find_row", "with_any"} or (method == "create" and names_tenant):
            continue
        found.append((node.lineno, f"{receiver}.{method}"))
    return found


def test_rows_are_reached_through_their_tenant() -> None:
    rows = tenant_rows()
    assert {"Agent", "User", "TargetState"} <= rows
    assert not rows & {row.__name__ for row in _subclasses(GlobalModel)}
    outside = [name for name in product() if not name.startswith("models/")]
    found = [
        f"{name}:{line} {what}"
        for name in outside
        for line, what in unscoped_queries(tree(name), rows)
    ]
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        "Agent.filter(uuid=x)",
        "Agent.all().first()",
        "await Agent.get(id=1)",
        "agents.Agent.get_or_none(id=1)",
        "from models.agents import Agent as Row\nRow.filter(id=1)",
        "Agent.create(uuid=x)",
        "Agent.select_for_update().filter(id=1)",
    ],
)
def test_the_rule_for_rows_finds(code: str) -> None:
    assert unscoped_queries(ast.parse(code), {"Agent"})


@pytest.mark.parametrize(
    "code",
    [
        "Agent.of(ctx.tenant_id, uuid=x).first()",
        "Agent.find_row(ctx.tenant_id, uuid=x)",
        'Agent.with_any(ctx.tenant_id, "uuid", x)',
        "Agent.create(tenant_id=1, uuid=x)",
        "Tenant.filter(id=1)",
        "headers.get('agent')",
    ],
)
def test_the_rule_for_rows_spares(code: str) -> None:
    assert not unscoped_queries(ast.parse(code), {"Agent"})


def test_sql_is_at_home_in_models() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name in product()
        if not name.startswith(("models/", "fleetgraph/embedded/"))
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SQL_IN_PYTHON.match(node.value)
    ]
    assert not found


def statements() -> dict[str, str]:
    folder = ROOT / "models" / "timeseries" / "sql"
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))}


@pytest.mark.parametrize("name", statements())
def test_a_statement_asks_for_its_tenant_first(name: str) -> None:
    text = statements()[name]
    assert text.startswith("-- "), "the first line says which question it answers"
    if name in SQL_OVER_TENANTS:
        assert "tenant_id" in text
    else:
        assert re.search(r"\bwhere (\w+\.)?tenant_id = \$1\b", text)


def test_the_list_of_statements_over_tenants_is_current() -> None:
    assert set(statements()) >= SQL_OVER_TENANTS


async def test_every_table_names_its_tenant(database_url: DatabaseUrl) -> None:
    pool = await open_pool(database_url, min_size=1, max_size=1)
    try:
        rows = await pool.fetch(
            "select t.table_name, c.is_nullable from information_schema.tables t"
            " left join information_schema.columns c on c.table_schema = t.table_schema"
            " and c.table_name = t.table_name and c.column_name = 'tenant_id'"
            " where t.table_schema = 'public' and t.table_type = 'BASE TABLE'"
        )
    finally:
        await pool.close()
    without = {row["table_name"] for row in rows if row["is_nullable"] is None}
    assert without == TENANTLESS_TABLES
    assert {row["is_nullable"] for row in rows} == {"NO", None}
