"""Keeps the bookkeeping of endpoints in step with target states and with what agents report."""

from __future__ import annotations

from typing import Any

from core.context import Context
from core.state_reports import StateReport
from models.agents import Agent
from models.unit_of_work import Work


async def note_target(
    ctx: Context, work: Work, agent: Agent, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Take over that an agent's live configuration was changed; part of the caller's work."""


async def note_report(ctx: Context, work: Work, agent_id: int, report: StateReport) -> None:
    """Take over what a live report tells of endpoints; part of the caller's work."""
