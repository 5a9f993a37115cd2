"""Chains audit rows, signs where they end, and removes those past their time."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from core.context import Context
from resolvers.audit import chain_audit, trim_audit

PERIOD_SECONDS: Final = 2.0
TRIM_PERIOD: Final = timedelta(minutes=10)
BATCHES_MAX: Final = 100

_log = logging.getLogger(__name__)


class AuditChain:
    """A reconciler step over the audit log; one program of all is at it at a time."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._trim_at = ctx.clock.now()

    async def step(self) -> None:
        """Chain what is committed, batch by batch; now and then remove what is too old.

        Each checkpoint is logged: whoever collects logs elsewhere holds the chain's hash where
        nobody with access to the database can change it.
        """
        for _ in range(BATCHES_MAX):
            checkpoints = await chain_audit(self._ctx)
            for checkpoint in checkpoints:
                _log.info(
                    "audit checkpoint: tenant %d, position %d, hash %s",
                    *(checkpoint.tenant_id, checkpoint.position, checkpoint.chain_hash.hex()),
                )
            if not checkpoints:
                break
        now = self._ctx.clock.now()
        if now >= self._trim_at:
            self._trim_at = now + TRIM_PERIOD
            await trim_audit(self._ctx, now - timedelta(days=self._ctx.policy.audit_days))
