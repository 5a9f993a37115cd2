"""Each change that a person may ask for leaves a row in the audit log, under the call's own id."""

from __future__ import annotations

from dataclasses import replace

from core.callers import NOBODY, Role
from core.context import Context
from models.connection import fetch
from resolvers.auth import login
from tests.contracts.documents import operation, root_fields
from tests.contracts.field_cases import FIELDS
from tests.contracts.serving import Api
from tests.contracts.tenant_rows import undone
from tests.contracts.world_of_two import PASSWORD, Tenancy, furnish
from tests.schema.asking import answer

_TELEMETRY = "of an agent about itself: what matters in it is recorded as a change of its state"
SILENT: dict[str, str] = {
    "Mutation.reportState": _TELEMETRY,
    "Mutation.uploadDeviceLogs": _TELEMETRY,
    "Mutation.reportLogDrops": _TELEMETRY,
    "Mutation.rotateDeviceKey": "of an agent about itself: see tests/resolvers/test_device_keys.py",
    "Mutation.reissueChallenge": "of an agent that has not proven anything: nothing is decided",
    "Mutation.createTenant": "of the first tenant's owner: see tests/resolvers/test_tenants.py",
}
"""Fields that leave no row here, and why."""


async def test_each_mutation_is_recorded(ctx: Context) -> None:
    here = await furnish(ctx, "A")
    api = Api(ctx)
    headers = {"authorization": here.authorizations[Role.OWNER]}
    caller = await api.graphql_caller(headers, None)
    unrecorded = []
    for name in root_fields("Mutation"):
        if name in SILENT:
            continue
        arguments = FIELDS[name](here, here)
        call = replace(ctx, caller=caller, request_id=f"call-{ctx.ids.secret_hex(8)}")
        async with undone():
            await _prepare(here, name)
            found = await answer(call, operation([name], arguments), arguments)
            assert not found.errors, (name, found.errors)
            rows = await fetch(
                "select event_type, actor, details from audit_event where request_id = $1",
                call.request_id,
            )
        secrets = (PASSWORD, here.refresh_token, here.reset_token, here.provisioning_key)
        assert not [secret for secret in secrets if secret in str(rows)], name
        if not rows:
            unrecorded.append(name)
    assert unrecorded == [], f"these leave no audit row: {unrecorded}"


async def _prepare(here: Tenancy, name: str) -> None:
    """Make that there is something to change: what changes nothing leaves no row."""
    if name == "Mutation.addAgentsToFleet":
        await fetch("update agent set fleet_id = null where id = $1", here.agent.id)
    if name == "Mutation.revokeOtherSessions":
        await login(here.ctx.acting_as(NOBODY), f"{Role.OWNER}-{here.mark}", PASSWORD)


def test_the_exceptions_are_fields() -> None:
    assert set(SILENT) <= set(root_fields("Mutation"))
