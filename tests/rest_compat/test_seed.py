"""Every route of the published API list, and those that do not exist yet.

`MISSING` may only shrink. Whatever else is served stands in `EXTRA` with its reason.
"""

from __future__ import annotations

import re

from fleetgraph.probes import probe_routes
from rest_compat.catalog import load_catalog
from schema.root import schema
from tests.doubles import ManualClock

Route = tuple[str, str]

SEED = """
GET /
GET /health
GET /metrics
POST /api/v1/auth/register
POST /api/v1/auth/login
POST /api/v1/auth/refresh
POST /api/v1/auth/logout
POST /api/v1/auth/password/reset
GET /api/v1/users
PUT /api/v1/users/:id
DELETE /api/v1/users/:id
POST /api/v1/auth/api-keys
GET /api/v1/license
GET /api/v1/billing/usage
GET /api/v1/agents
GET /api/v1/agents/:uuid
GET /api/v1/agents/:uuid/metrics
GET /api/v1/agents/:uuid/logs
GET /api/v1/agents/:uuid/target-state
POST /api/v1/agents/:uuid/target-state
PUT /api/v1/agents/:uuid/target-state
DELETE /api/v1/agents/:uuid/target-state
GET /api/v1/agents/:uuid/current-state
GET /api/v1/device/:uuid/state
POST /api/v1/device/:uuid/logs
GET /api/v1/agents/:uuid/devices
POST /api/v1/agents/:uuid/devices
PUT /api/v1/agents/:uuid/devices/:name
DELETE /api/v1/agents/:uuid/devices/:name
GET /api/v1/agents/:uuid/device-health
GET /api/v1/agents/:uuid/protocol-adapters/:protocol/:deviceName/history
GET /api/v1/readings/:agent_uuid/latest
GET /api/v1/readings/:agent_uuid/timeseries
GET /api/v1/readings/:agent_uuid/aggregate
POST /api/v1/readings/query
POST /api/v1/readings
GET /api/v1/anomaly/rules
POST /api/v1/anomaly/rules
PUT /api/v1/anomaly/rules/:id
DELETE /api/v1/anomaly/rules/:id
GET /api/v1/anomaly/incidents
GET /api/v1/anomaly/incidents/:id
GET /api/v1/anomaly/alerts
POST /api/v1/anomaly/alerts
PUT /api/v1/anomaly/alerts/:id
POST /api/v1/provision/keys
GET /api/v1/provision/keys
POST /api/v1/provision/agent
GET /api/v1/agents/:uuid/jobs
POST /api/v1/agents/:uuid/jobs
GET /api/v1/agents/:uuid/jobs/:jobId
POST /api/v1/agents/:uuid/jobs/:jobId/cancel
GET /api/v1/fleets
POST /api/v1/fleets
GET /api/v1/fleets/:fleetId
PUT /api/v1/fleets/:fleetId
DELETE /api/v1/fleets/:fleetId
POST /api/v1/fleets/:fleetId/agents
GET /api/v1/dashboard-layouts
POST /api/v1/dashboard-layouts
PUT /api/v1/dashboard-layouts/:id
DELETE /api/v1/dashboard-layouts/:id
POST /mosquitto-auth/user
PUT /mosquitto-auth/user/:username
DELETE /mosquitto-auth/user/:username
GET /mosquitto-auth/acl
POST /api/v1/ai/chat
POST /api/v1/dashboard/ai/suggestions
GET /api/v1/grafana/dashboards
GET /api/v1/grafana/alert-rules
POST /api/v1/grafana/update-alert-threshold
GET /api/v1/admin/health
GET /api/v1/admin/system-config
PUT /api/v1/admin/system-config
GET /api/v1/profiles
GET /api/v1/metrics
GET /api/v1/audit/events
"""

MISSING = """
GET /api/v1/license
GET /api/v1/billing/usage
GET /api/v1/readings/:agent_uuid/aggregate
POST /api/v1/readings/query
POST /api/v1/readings
GET /api/v1/anomaly/rules
POST /api/v1/anomaly/rules
PUT /api/v1/anomaly/rules/:id
DELETE /api/v1/anomaly/rules/:id
GET /api/v1/anomaly/incidents
GET /api/v1/anomaly/incidents/:id
GET /api/v1/anomaly/alerts
POST /api/v1/anomaly/alerts
PUT /api/v1/anomaly/alerts/:id
GET /api/v1/agents/:uuid/jobs
POST /api/v1/agents/:uuid/jobs
GET /api/v1/agents/:uuid/jobs/:jobId
POST /api/v1/agents/:uuid/jobs/:jobId/cancel
GET /api/v1/dashboard-layouts
POST /api/v1/dashboard-layouts
PUT /api/v1/dashboard-layouts/:id
DELETE /api/v1/dashboard-layouts/:id
POST /api/v1/ai/chat
POST /api/v1/dashboard/ai/suggestions
GET /api/v1/grafana/dashboards
GET /api/v1/grafana/alert-rules
POST /api/v1/grafana/update-alert-threshold
GET /api/v1/admin/health
GET /api/v1/admin/system-config
PUT /api/v1/admin/system-config
GET /api/v1/profiles
GET /api/v1/metrics
"""


EXTRA = """
POST /api/v1/agent/register                 agents register here; the list names an alias
POST /api/v1/device/{}/key-exchange         agents: proof of possession
POST /api/v1/device/{}/challenge            agents: the challenge once more
PATCH /api/v1/device/state                  agents: reports while MQTT is away, and after it
GET /api/v1/devices/{}                      agents: asked once, in a factory reset
GET /api/v1/provisioning-keys               the older name of /provision/keys
POST /api/v1/provisioning-keys              the older name of /provision/keys
POST /api/v1/auth/change-password           the legacy API has it
POST /api/v1/auth/reset-password            the legacy name of /auth/password/reset/confirm
POST /api/v1/auth/password/reset/confirm    the second step of a reset
GET /api/v1/auth/me                         the legacy API has it
GET /api/v1/users/me/permissions            the legacy API has it
POST /api/v1/users                          the legacy API has it
GET /api/v1/users/{}                        the legacy API has it
GET /api/v1/auth/api-keys                   the legacy API has it
DELETE /api/v1/auth/api-keys/{}             the legacy API has it
PATCH /api/v1/agents/{}                     the legacy API has it
DELETE /api/v1/agents/{}                    the legacy API has it
PATCH /api/v1/agents/{}/active              the legacy API has it
GET /api/v1/agents/{}/tags                  the legacy API has it
POST /api/v1/agents/{}/tags                 the legacy API has it
PUT /api/v1/agents/{}/tags                  the legacy API has it
DELETE /api/v1/agents/{}/tags/{}            the legacy API has it
POST /api/v1/agents/tags/bulk               the legacy API has it
POST /api/v1/agents/query                   the legacy API has it
GET /api/v1/tags/keys                       the legacy API has it
GET /api/v1/tags/values/{}                  the legacy API has it
GET /api/v1/agents/{}/logs/services         the legacy API has it
PATCH /api/v1/fleets/{}                     the legacy API changes fleets by PATCH
DELETE /api/v1/fleets/{}/agents/{}          the way back from adding one
GET /api/v1/audit/export                    the log as JSON lines, for archives
GET /api/v1/audit/verify                    whether the log is as it was written
POST /api/v1/admin/device/{}/emergency-revoke the legacy API has it: every key of an agent ends at once
POST /api/v1/agents/updates                 updates of many agents' software at once
GET /api/v1/agents/{}/apps                  single apps of a target state; the legacy API has it
POST /api/v1/agents/{}/apps                 single apps of a target state; the legacy API has it
DELETE /api/v1/agents/{}/apps/{}            single apps of a target state; the legacy API has it
PATCH /api/v1/agents/{}/apps/{}             single apps of a target state; the legacy API has it
PUT /api/v1/agents/{}/apps/{}               single apps of a target state; the legacy API has it
POST /api/v1/agents/{}/deploy               what becomes of a draft; the legacy API has it
POST /api/v1/agents/{}/deploy/cancel        what becomes of a draft; the legacy API has it
POST /api/v1/agents/{}/devices/{}/credentials a new login for a sensor that publishes by itself
GET /api/v1/agents/{}/logs/dropped-summaries what agents say that they dropped
GET /api/v1/agents/{}/target-state/draft    the draft, beside the live document
GET /api/v1/agents/{}/target-state/history  the versions of a target state
GET /api/v1/agents/{}/target-state/history/{} the versions of a target state
POST /api/v1/agents/{}/target-state/rollback back to one of them
POST /api/v1/agents/{}/update               updates of an agent's own software
POST /api/v1/agents/{}/update-agent         the legacy name of /update
GET /api/v1/agents/{}/updates               updates of an agent's own software
POST /api/v1/agents/{}/updates/{}/cancel    updates of an agent's own software
DELETE /api/v1/auth/mqtt-acls/{}            the legacy API manages ACL lines here
PUT /api/v1/auth/mqtt-acls/{}               the legacy API manages ACL lines here
GET /api/v1/auth/mqtt-users                 the legacy API manages broker users here
POST /api/v1/auth/mqtt-users                the legacy API manages broker users here
DELETE /api/v1/auth/mqtt-users/{}           the legacy API manages broker users here
PUT /api/v1/auth/mqtt-users/{}              the legacy API manages broker users here
POST /api/v1/auth/mqtt-users/{}/acls        the legacy API manages broker users here
GET /api/v1/device/{}/key-status            agents: how the device key stands
POST /api/v1/device/{}/logs/dropped-summaries agents: what they had to drop of their logs
GET /api/v1/device/{}/ping                  agents: whether the device key holds
POST /api/v1/device/{}/rotate-key           agents: a new device key
GET /api/v1/device/{}/rotation-history      the keys that an agent had
GET /api/v1/logs                            log lines of many agents
GET /api/v1/mqtt/drift                      where the broker differed from the database
GET /api/v1/mqtt/stats                      the broker as it tells of itself; the legacy API has it
DELETE /api/v1/provision/keys/{}            the end of a provisioning key
POST /api/v1/provisioning-keys/generate     the legacy API has it: a key for one agent
DELETE /api/v1/provisioning-keys/{}         the end of a provisioning key
POST /mosquitto-auth/acl                    changes to what GET /mosquitto-auth/acl lists
DELETE /mosquitto-auth/acl/{}               changes to what GET /mosquitto-auth/acl lists
PUT /mosquitto-auth/acl/{}                  changes to what GET /mosquitto-auth/acl lists
"""


def routes(text: str) -> list[Route]:
    """Return method and path of each line, whatever the path's variables are called."""
    lines = [line.split()[:2] for line in text.strip().splitlines()]
    return [(method, shape(path)) for method, path in lines]


def shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}|:[A-Za-z_]\w*", "{}", path)


def served() -> set[Route]:
    found = {(each.method, shape(each.path)) for each in load_catalog(schema._schema).endpoints}
    return found | {("GET", route.path) for route in probe_routes(ManualClock())}


def test_the_list_is_whole() -> None:
    assert len(routes(SEED)) == len(set(routes(SEED))) == 77


def test_the_missing_are_part_of_the_list() -> None:
    assert set(routes(MISSING)) <= set(routes(SEED))
    assert not set(routes(EXTRA)) & set(routes(SEED))


def test_what_exists_is_no_longer_called_missing() -> None:
    assert not set(routes(MISSING)) & served(), "shorten MISSING"


def test_nothing_of_the_list_is_missing_without_being_called_so() -> None:
    assert not set(routes(SEED)) - set(routes(MISSING)) - served()


def test_nothing_is_served_that_is_neither_in_the_list_nor_explained() -> None:
    explained = set(routes(SEED)) | set(routes(EXTRA))
    assert not served() - explained
    assert not set(routes(EXTRA)) - served(), "shorten EXTRA"
