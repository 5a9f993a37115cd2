"""The audit log."""

from __future__ import annotations

from tests.contracts.cases.world import Case, nothing

CASES: dict[str, Case] = dict.fromkeys(
    ("ListAuditEvents", "ExportAuditEvents", "VerifyAudit"), nothing
)

ORDER: tuple[str, ...] = ()
