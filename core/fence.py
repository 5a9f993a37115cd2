"""The tenant that the running use case works for: what the database's second fence is told.

Every use case of a person or an agent runs fenced to its tenant (`allow` sees to it). 0 stands for
the program's own work over all tenants, and for callers that are nobody yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

ALL_TENANTS: Final = 0

fenced_tenant: Final[ContextVar[int]] = ContextVar("fenced_tenant", default=ALL_TENANTS)


@contextmanager
def fence(tenant_id: int) -> Iterator[None]:
    """Fence the block to one tenant; ALL_TENANTS opens it."""
    token = fenced_tenant.set(tenant_id)
    try:
        yield
    finally:
        fenced_tenant.reset(token)
