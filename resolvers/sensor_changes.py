"""Sensors added, changed and deleted: edits of one endpoint in an agent's live target state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from core.access import Permission, allow
from core.audit import AuditType, agent_entry
from core.context import Context
from core.errors import InvalidInput, NotFound, PayloadTooLarge
from core.etag import canonical_json
from core.mqtt_topics import encode_id, format_topic
from core.sensor_edits import SensorValues, added, found, updated
from core.sensors import KEPT, KEPT_BY_AGENT, EndpointStatus, as_uuid, is_leaving, settled, without
from core.texts import checked_text
from models.agents import Agent, lock_agent
from models.endpoint_lists import endpoint_named
from models.endpoints import Endpoint, forget_endpoints, set_location
from models.target_states import TargetState, present_state
from models.tenants import get_tenant
from models.unit_of_work import Work, database_errors, unit_of_work
from resolvers.broker_credentials import EndpointCredentials, open_endpoint_account
from resolvers.endpoint_sync import has_account
from resolvers.target_changes import Document, change_target_state

__all__ = ["SensorValues"]

LOCATION_CHARS_MAX: Final = 200
NOTHING: Final[Mapping[str, Any]] = {}

Edit = Callable[[list[Any]], list[Any]]


@dataclass(frozen=True, slots=True)
class SensorChange:
    """What a change did.

    Attributes:
        version: of the agent's target state afterwards.
        sensor: as it is now; None when it is gone, or was only checked.
        checked: what would be stored, where nothing was; secrets are masked.
        credentials: how the sensor logs in to the broker, told this once.
        mode: how it was deleted, `soft` or `hard`.
        warning: what the agent will not do as one would expect.
    """

    version: int
    sensor: Endpoint | None = None
    checked: dict[str, Any] | None = None
    credentials: EndpointCredentials | None = None
    warning: str | None = None
    mode: str | None = None


@allow(Permission.DEVICE_WRITE)
async def add_sensor(
    ctx: Context,
    agent_uuid: UUID,
    values: SensorValues,
    *,
    validate_only: bool = False,
    if_version: int | None = None,
) -> SensorChange:
    """Tell an agent to read one more endpoint.

    An MQTT endpoint without a topic gets its own on our broker, and an account for who publishes
    there. Raises InvalidInput with the path of what is wrong, Conflict for a name or uuid that the
    agent has, PreconditionFailed unless `if_version` is the version of its target state.
    """
    location = _location(values)
    uuid = values.uuid or ctx.ids.uuid()
    if validate_only:
        with database_errors():
            agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
            ours = await _with_own_topic(agent, uuid, values)
            checked = _edit(ctx, lambda endpoints: added(endpoints, uuid, ours))
            state = await present_state(agent, if_version)
            checked(Document(state.apps, state.config))
        return SensorChange(state.version, checked=_told_of_new(ctx, uuid, ours))
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        ours = await _with_own_topic(agent, uuid, values)
        edit = _edit(ctx, lambda endpoints: added(endpoints, uuid, ours))
        state = await change_target_state(ctx, work, agent, edit, if_version=if_version)
        credentials = None
        if ours is not values:
            credentials = await open_endpoint_account(ctx, work, agent, uuid)
        if location is not None:
            await set_location(ctx.tenant_id, agent.id, uuid, location)
        _record(work, AuditType.SENSOR_CREATED, agent, uuid, after=values.told())
        sensor = await endpoint_named(agent, str(uuid))
    return SensorChange(state.version, sensor, credentials=credentials)


@allow(Permission.DEVICE_WRITE)
async def update_sensor(
    ctx: Context,
    agent_uuid: UUID,
    key: str,
    values: SensorValues,
    *,
    validate_only: bool = False,
    if_version: int | None = None,
) -> SensorChange:
    """Change what is given of a sensor, found by its name or uuid.

    What an answer masked may be sent back: it stands for what is stored. Raises NotFound, Conflict
    for a name that is taken or a sensor that is being deleted, and as `add_sensor` does.
    """
    location = _location(values)
    if validate_only:
        with database_errors():
            agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
            state = await present_state(agent, if_version)
            updated(_endpoints(state.config), key, values)
        return SensorChange(state.version, checked=values.told())
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        state = await present_state(agent, if_version)
        before = found(_endpoints(state.config), key)[1]
        uuid = UUID(before["uuid"])
        ours = await _with_own_topic(agent, uuid, values, before)
        edit = _edit(ctx, lambda endpoints: updated(endpoints, key, ours))
        state = await change_target_state(ctx, work, agent, edit)
        credentials = None
        if ours is not values and not has_account(before):
            credentials = await open_endpoint_account(ctx, work, agent, uuid)
        if location is not None:
            await set_location(ctx.tenant_id, agent.id, uuid, location)
        told = {name: before.get(name) for name in values.told()}
        _record(work, AuditType.SENSOR_UPDATED, agent, uuid, before=told, after=values.told())
        sensor = await endpoint_named(agent, str(uuid))
    return SensorChange(state.version, sensor, credentials=credentials)


@allow(Permission.DEVICE_WRITE)
async def delete_sensor(
    ctx: Context,
    agent_uuid: UUID,
    key: str,
    *,
    hard: bool = False,
    if_version: int | None = None,
) -> SensorChange:
    """Take a sensor out of its agent's target state.

    It is listed as pending deletion until the agent no longer shows it; with `hard` it is
    forgotten at once. An agent keeps its last endpoint: that one is switched off instead, and
    taken out as soon as there is another. Raises NotFound, PreconditionFailed.
    """
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        state = await present_state(agent, if_version)
        sensor = await endpoint_named(agent, key)
        if sensor.status is EndpointStatus.DRAFT:
            raise NotFound("sensor", key)
        uuid = sensor.uuid
        edit = _edit(ctx, lambda endpoints: (_dropped if hard else without)(endpoints, uuid))
        before = state.version
        state = await change_target_state(ctx, work, agent, edit)
        if hard:
            await forget_endpoints(ctx.tenant_id, agent.id, [uuid])
        if hard or state.version != before:
            told = {"name": sensor.name, "protocol": sensor.protocol}
            _record(work, AuditType.SENSOR_DELETED, agent, uuid, before=told)
        left = _endpoints(state.config)
        kept = any(is_leaving(entry) for entry in left if isinstance(entry, dict))
        mode = "hard" if hard else "soft"
        warning = KEPT if kept and not hard else None if left else KEPT_BY_AGENT
    return SensorChange(state.version, await _found(agent, uuid), warning=warning, mode=mode)


@allow(Permission.DEVICE_WRITE)
async def reset_sensor_credentials(ctx: Context, agent_uuid: UUID, key: str) -> SensorChange:
    """Give an MQTT sensor on our broker a new password; the one before stops to hold.

    Raises InvalidInput for a sensor that does not publish there.
    """
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        state = await TargetState.find_row(ctx.tenant_id, agent_id=agent.id)
        _, entry = found(_endpoints(state.config), key)
        if not has_account(entry):
            raise InvalidInput("name", "this sensor has no account at the broker")
        uuid = UUID(entry["uuid"])
        credentials = await open_endpoint_account(ctx, work, agent, uuid)
        details = {"credentials": "reset"}
        _record(work, AuditType.SENSOR_UPDATED, agent, uuid, details=details)
        sensor = await endpoint_named(agent, str(uuid))
    return SensorChange(state.version, sensor, credentials=credentials)


def _location(values: SensorValues) -> str | None:
    if values.location is None:
        return None
    return checked_text("location", values.location, LOCATION_CHARS_MAX)


def _edit(ctx: Context, edit: Edit) -> Callable[[Document], Document]:
    """Return an edit of endpoints as one of a document; raises what the document may not be."""

    def edited(document: Document) -> Document:
        endpoints = edit(_endpoints(document.config))
        config = document.config | {"endpoints": endpoints}
        parts = [canonical_json(part, "config") for part in (document.apps, config)]
        if b"\\u0000" in parts[1]:
            raise InvalidInput("connection", "has a NUL character, which cannot be stored")
        if sum(map(len, parts)) > ctx.policy.target_state_bytes_max:
            limit = ctx.policy.target_state_bytes_max
            raise PayloadTooLarge("The target state", limit_bytes=limit)
        return replace(document, config=config)

    return edited


def _endpoints(config: dict[str, Any]) -> list[Any]:
    endpoints = config.get("endpoints")
    return endpoints if isinstance(endpoints, list) else []


def _dropped(endpoints: list[Any], uuid: UUID) -> list[Any]:
    return settled(
        [
            entry
            for entry in endpoints
            if not isinstance(entry, dict) or as_uuid(entry.get("uuid")) != uuid
        ]
    )


async def _with_own_topic(
    agent: Agent, uuid: UUID, values: SensorValues, before: Mapping[str, Any] = NOTHING
) -> SensorValues:
    """Return the values with a topic of our broker, if they are of MQTT and name none."""
    connection = values.connection
    protocol = before.get("protocol") if values.protocol is None else values.protocol
    if protocol != "mqtt" or not isinstance(connection, dict) or connection.get("topic"):
        return values
    tenant = await get_tenant(agent.tenant_id)
    topic = format_topic(str(tenant.uuid), agent.uuid, "d", encode_id(str(uuid)))
    return replace(values, connection={**connection, "topic": topic, "qos": 1})


def _told_of_new(ctx: Context, uuid: UUID, values: SensorValues) -> dict[str, Any]:
    told = values.told()
    made = {"createdAt": ctx.clock.now().isoformat(), "createdBy": _text(ctx.caller.user_id)}
    given = told.get("metadata")
    metadata = {**given, **made} if isinstance(given, dict) else made
    return {"uuid": str(uuid), "enabled": True} | told | {"metadata": metadata}


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _record(work: Work, type_: AuditType, agent: Agent, uuid: UUID, **more: Any) -> None:
    details = {"sensor": str(uuid)} | more.pop("details", {})
    work.record(agent_entry(type_, agent.uuid, details=details, **more))


async def _found(agent: Agent, uuid: UUID) -> Endpoint | None:
    try:
        return await endpoint_named(agent, str(uuid))
    except NotFound:
        return None
