"""Rows that belong to a tenant cannot be read without naming it."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeVar

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model
from tortoise.queryset import QuerySet

from core.errors import NotFound

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
