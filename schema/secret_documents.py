"""Documents of agents as callers may see them: with their secrets, or with `***` in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.access import Permission, holds
from core.callers import Role
from core.masking import masked
from core.reported_endpoints import masked_report, without_secrets
from schema.context import Info
from schema.scalars import Json

READABLE = "Secrets are `***` for callers without `device:write`; sent back, that stands for them."


def document(info: Info, value: object) -> Json:
    """Return a document, or a part of one."""
    return Json(value if _sees_secrets(info) else masked(value))


def reported_config(info: Info, config: object) -> Json:
    """Return a configuration that an agent reported.

    The connections of its endpoints are masked whoever asks, as the agent tells them as text.
    """
    shown = without_secrets(config) if isinstance(config, dict) else config
    return Json(shown if _sees_secrets(info) else masked_report(shown))


def reported(info: Info, body: Mapping[str, object]) -> Json:
    """Return a report."""
    shown: Any = document(info, body)
    return Json(
        {**shown, "config": reported_config(info, body["config"])} if "config" in body else shown
    )


def _sees_secrets(info: Info) -> bool:
    # Whoever may change a document has to see what is in it; an agent reads only its own.
    caller = info.context.ctx.caller
    return caller.role is Role.AGENT or holds(caller, Permission.DEVICE_WRITE)
