"""What each root field is called with, by noun. A field that is missing here fails by name.

The first tenancy is the one whose things the call is about, the second the one whose caller makes
it; they are the same but for callers of another tenant. Ids are always of the first, secrets that
prove something always of the second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contracts.field_cases_broker import BROKER_ACCOUNTS, MORE_BROKER_ACCOUNTS
from tests.contracts.field_cases_keys import KEYS, MORE_KEYS
from tests.contracts.field_cases_logs import LOGS, MORE_LOGS
from tests.contracts.field_cases_sensors import MORE_SENSORS, SENSORS
from tests.contracts.field_cases_target_states import MORE_TARGET_STATES, TARGET_STATES
from tests.contracts.field_cases_updates import UPDATES
from tests.contracts.world_of_two import PASSWORD, Tenancy

ANOTHER_PASSWORD = "a battery of correct horses"

Arguments = Callable[[Tenancy, Tenancy], dict[str, Any]]


def nothing(_it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    """Give no arguments."""
    return {}


def _agent(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"agentUuid": it.uuid}


def _address(it: Tenancy) -> str:
    return f"one.more.{it.ctx.ids.secret_hex(4)}@example.com"


def _fleet(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"uuid": str(it.fleet.id)}


def _members(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {**_fleet(it, _me), "select": {"uuid": it.uuid}}


AGENTS: dict[str, Arguments] = {
    "Query.agent": lambda it, _: {"uuid": it.uuid},
    "Query.agents": nothing,
    "Query.agentPage": nothing,
    "Query.series": lambda it, _: {"select": {"agentUuids": [it.uuid]}},
    "Query.history": _agent,
    "Query.currentState": _agent,
    "Query.stateHistory": _agent,
    "Query.agentMetrics": _agent,
    "Query.agentMetricsSummary": _agent,
    "Query.agentMetricsHistory": _agent,
    "Query.agentLogs": _agent,
    "Query.agentLogServices": _agent,
    "Mutation.reportState": lambda it, _: {"report": {it.uuid: {"apps": {}}}},
    "Mutation.uploadDeviceLogs": lambda it, _: {
        "agentUuid": it.uuid,
        "body": '{"message": "hello"}\n',
    },
    "Subscription.readings": _agent,
    "Subscription.agentChanged": _agent,
}

PROVISIONING: dict[str, Arguments] = {
    "Query.provisioningKeys": nothing,
    "Mutation.createProvisioningKey": lambda it, _: {"fleetUuid": str(it.fleet.id)},
    "Mutation.registerAgent": lambda it, me: {
        "agent": it.stranger.words(),
        "provisioningKey": [me.provisioning_key],
    },
    "Mutation.exchangeKey": lambda it, me: {
        "uuid": str(it.newcomer.uuid),
        "signature": me.newcomer.proof(),
        "deviceKey": me.newcomer.device_key,
    },
    "Mutation.reissueChallenge": lambda it, me: {
        "uuid": str(it.newcomer.uuid),
        "deviceKey": me.newcomer.device_key,
    },
}

ACCOUNTS: dict[str, Arguments] = {
    "Query.me": nothing,
    "Mutation.login": lambda _, me: {"username": me.spare.username, "password": PASSWORD},
    "Query.invitations": nothing,
    "Mutation.createInvitation": lambda it, _: {"email": _address(it), "role": "viewer"},
    "Mutation.revokeInvitation": lambda it, _: {"id": str(it.invitation.id)},
    "Mutation.register": lambda _, me: {
        "username": f"guest-{me.mark}",
        "email": me.invitation.email,
        "password": ANOTHER_PASSWORD,
        "invitationToken": me.invitation_token,
    },
    "Mutation.changePassword": lambda _it, _me: {
        "currentPassword": PASSWORD,
        "newPassword": ANOTHER_PASSWORD,
    },
    "Mutation.requestPasswordReset": lambda _, me: {"email": me.spare.email},
    "Mutation.confirmPasswordReset": lambda _, me: {
        "token": me.reset_token,
        "password": ANOTHER_PASSWORD,
    },
}

PEOPLE: dict[str, Arguments] = {
    "Query.users": nothing,
    "Query.people": nothing,
    "Query.user": lambda it, _: {"id": str(it.spare.id)},
    "Mutation.createUser": lambda it, _: {"user": _new_user(it)},
    "Mutation.updateUser": lambda it, _: {
        "id": str(it.spare.id),
        "changes": {"fullName": "another"},
    },
    "Mutation.deleteUser": lambda it, _: {"id": str(it.spare.id)},
    "Query.apiKeys": nothing,
    "Mutation.createApiKey": lambda _it, _me: {"name": "one more", "scopes": ["api-key:create"]},
    "Mutation.revokeApiKey": lambda it, _: {"id": str(it.api_key_id)},
}


def _new_user(it: Tenancy) -> dict[str, Any]:
    address = _address(it)
    return {
        "username": address.partition("@")[0],
        "email": address,
        "password": ANOTHER_PASSWORD,
        "role": "viewer",
    }


TENANTS: dict[str, Arguments] = {
    "Query.tenant": nothing,
    "Query.tenants": nothing,
    "Mutation.renameTenant": lambda it, _: {"name": f"plant {it.ctx.ids.secret_hex(4)}"},
    "Mutation.createTenant": lambda it, _: {
        "name": f"plant {it.ctx.ids.secret_hex(4)}",
        "ownerEmail": _address(it),
    },
}

SESSIONS: dict[str, Arguments] = {
    "Query.mySessions": nothing,
    "Query.sessionsOfUser": lambda it, _: {"userId": str(it.spare.id)},
    "Mutation.refresh": lambda _, me: {"refreshToken": me.refresh_token},
    "Mutation.logout": nothing,
    "Mutation.revokeSession": lambda it, _: {"id": str(it.session_id)},
    "Mutation.revokeOtherSessions": nothing,
    "Mutation.signOutUser": lambda it, _: {"userId": str(it.spare.id), "revokeApiKeys": True},
}

FLEETS: dict[str, Arguments] = {
    "Query.fleet": _fleet,
    "Query.fleets": nothing,
    "Mutation.createFleet": lambda it, _: {"fleet": {"name": f"one more {it.mark}"}},
    "Mutation.updateFleet": lambda it, _: {**_fleet(it, _), "fleet": {"location": "elsewhere"}},
    "Mutation.deleteFleet": _fleet,
    "Mutation.addAgentsToFleet": lambda it, _: {**_members(it, _), "move": True},
    "Mutation.removeAgentsFromFleet": _members,
}

REGISTER: dict[str, Arguments] = {
    "Query.tagKeys": nothing,
    "Query.tagValues": lambda _it, _me: {"key": "site"},
    "Mutation.updateAgent": lambda it, _: {"uuid": it.uuid, "changes": {"location": "elsewhere"}},
    "Mutation.setAgentActive": lambda it, _: {"uuid": it.uuid, "isActive": False},
    "Mutation.deleteAgent": lambda it, _: {"uuid": it.uuid},
    "Mutation.setAgentTags": lambda it, _: {"uuid": it.uuid, "set": {"line": "4"}},
    "Mutation.replaceAgentTags": lambda it, _: {"uuid": it.uuid, "tags": {"line": "4"}},
    "Mutation.removeAgentTag": lambda it, _: {"uuid": it.uuid, "key": "site"},
    "Mutation.changeTags": lambda it, _: {"select": {"uuids": [it.uuid]}, "set": {"line": "4"}},
}

AUDIT: dict[str, Arguments] = {
    "Query.auditEvents": nothing,
    "Query.verifyAudit": nothing,
    "Subscription.auditExport": nothing,
}

BROKER: dict[str, Arguments] = {
    "Query.brokerDrift": nothing,
    "Query.broker": nothing,
    "Query.agentTraffic": nothing,
    "Subscription.brokerChanged": nothing,
}

FIELDS: dict[str, Arguments] = {
    **AGENTS,
    **PROVISIONING,
    **ACCOUNTS,
    **PEOPLE,
    **TENANTS,
    **SESSIONS,
    **FLEETS,
    **REGISTER,
    **AUDIT,
    **BROKER,
    **BROKER_ACCOUNTS,
    **SENSORS,
    **KEYS,
    **UPDATES,
    **LOGS,
    **TARGET_STATES,
}

_FILTERED: list[Arguments] = [
    lambda it, _: {"filter": {"fleetUuid": str(it.fleet.id)}},
    lambda it, _: {"filter": {"selector": f"site={it.mark}"}},
    lambda it, _: {"filter": {"text": it.uuid}},
]
_SELECTED: list[Arguments] = [
    lambda it, me: {**_fleet(me, me), "select": {"uuid": it.uuid}},
    lambda it, me: {**_fleet(me, me), "select": {"uuids": [it.uuid]}},
    lambda it, me: {**_fleet(me, me), "select": {"fleetUuid": str(it.fleet.id)}},
    lambda it, me: {**_fleet(me, me), "select": {"selector": f"site={it.mark}"}},
]

MORE: dict[str, list[Arguments]] = {
    **MORE_KEYS,
    **MORE_LOGS,
    **MORE_BROKER_ACCOUNTS,
    **MORE_TARGET_STATES,
    **MORE_SENSORS,
    "Query.auditEvents": [
        lambda it, _: {"filter": {"userId": str(it.spare.id)}},
        lambda it, _: {"filter": {"apiKeyId": str(it.api_key_id)}},
        lambda it, _: {"filter": {"sessionId": str(it.session_id)}},
        lambda it, _: {"filter": {"agentUuid": it.uuid}},
        lambda it, _: {"filter": {"text": it.mark}},
    ],
    "Query.agentMetricsHistory": [lambda it, _: {"agentUuid": it.uuid, "period": "30min"}],
    "Query.agents": _FILTERED,
    "Query.agentPage": _FILTERED,
    "Mutation.addAgentsToFleet": _SELECTED,
    "Mutation.removeAgentsFromFleet": _SELECTED,
    "Mutation.changeTags": [
        lambda it, _: {"select": {"uuid": it.uuid}, "set": {"line": "4"}},
        lambda it, _: {"select": {"fleetUuid": str(it.fleet.id)}, "set": {"line": "4"}},
        lambda it, _: {"select": {"selector": f"site={it.mark}"}, "set": {"line": "4"}},
        lambda _it, _me: {"select": {"selector": "!nothing"}, "set": {"line": "4"}},
    ],
    "Mutation.registerAgent": [
        lambda it, me: {
            "agent": {**me.stranger.words(), "uuid": it.uuid},
            "provisioningKey": [me.provisioning_key],
        }
    ],
    "Mutation.exchangeKey": [
        lambda it, me: {
            "uuid": it.uuid,
            "signature": me.newcomer.proof(),
            "deviceKey": me.device_key,
        }
    ],
}
"""What another tenant tries besides, so that each argument that is an id is one of this tenant."""
