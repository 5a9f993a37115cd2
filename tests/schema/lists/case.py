"""The shape of a case."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from core.context import Context

Make = Callable[[Context, int], Awaitable[dict[str, Any]]]
"""Makes so many rows and returns the variables of the query."""
