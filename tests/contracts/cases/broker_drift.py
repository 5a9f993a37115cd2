"""Drift of brokers."""

from __future__ import annotations

from tests.contracts.cases.world import Case, nothing

CASES: dict[str, Case] = {"ListBrokerDrift": nothing}

ORDER: tuple[str, ...] = ()
