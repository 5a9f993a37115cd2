"""Rows that belong to a tenant cannot be read without naming it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Self, TypeVar

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model
from tortoise.queryset import QuerySet

from core.errors import NotFound
from models.connection import fetch

T = TypeVar("T", bound="TenantModel")


class TenantModel(Model):
    """A row of one tenant. Start every query with `of`; `find_row` raises NotFound."""

    noun: ClassVar[str] = "row"

    tenant_id = fields.IntField()

    class Meta:
        abstract = True

    @classmethod
    def of(cls, tenant_id: int, *conditions: Q, **equals: Any) -> QuerySet[Self]:
        """Return the tenant's rows that meet the conditions."""
        return cls.filter(*conditions, tenant_id=tenant_id, **equals)

    @classmethod
    async def with_any(cls, tenant_id: int, column: str, values: Collection[object]) -> list[Self]:
        """Return the tenant's rows with one of the values in `column`.

        For what is asked with every request: building the statement anew, as the ORM does, costs
        more than running it.
        """
        found = await fetch(
            f"select {cls.columns()} from {cls._meta.db_table}"  # noqa: S608  (names of our own)
            f" where tenant_id = $1 and {column} = any($2)",
            tenant_id,
            list(values),
        )
        return [cls.of_record(row) for row in found]

    @classmethod
    def columns(cls) -> str:
        """Return all columns, for a `select`."""
        return ", ".join(sorted(cls._meta.fields_db_projection.values()))

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> Self:
        """Return the row in what a `select` of all columns found."""
        return cls._init_from_db(**record)

    @classmethod
    async def find_row(cls, tenant_id: int, **equals: Any) -> Self:
        """Return the tenant's one row with these values, or raise NotFound."""
        row = await cls.of(tenant_id, **equals).first()
        if row is None:
            raise NotFound(cls.noun, next(iter(equals.values()), "?"))
        return row


class GlobalModel(Model):
    """A row of the installation itself; the few tables without a tenant are listed in a test."""

    class Meta:
        abstract = True
