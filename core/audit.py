"""What the audit log says: the kinds of events, and one entry before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class AuditType(StrEnum):
    """What happened; the names are those that legacy clients filter by, where they have one."""

    USER_REGISTERED = "user_registered"
    USER_CREATED = "user_created"
    USER_UPDATED = "user_updated"
    USER_DELETED = "user_deleted"
    USER_INVITED = "user_invited"
    INVITATION_REVOKED = "invitation_revoked"
    USER_LOGIN = "user_login"
    LOGIN_FAILED = "login_failed"
    USER_LOGOUT = "user_logout"
    TOKEN_REFRESHED = "token_refreshed"  # noqa: S105  (names of events)
    TOKEN_REFRESH_FAILED = "token_refresh_failed"  # noqa: S105
    TOKEN_REUSED = "token_reused"  # noqa: S105
    SESSION_REVOKED = "session_revoked"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    PASSWORD_CHANGE_FAILED = "password_change_failed"  # noqa: S105
    PASSWORD_RESET_REQUESTED = "password_reset_requested"  # noqa: S105
    PASSWORD_RESET_COMPLETED = "password_reset_completed"  # noqa: S105
    API_KEY_CREATED = "api_key_created"
    API_KEY_REVOKED = "api_key_revoked"
    TENANT_CREATED = "tenant_created"
    TENANT_UPDATED = "tenant_updated"
    PROVISIONING_KEY_CREATED = "provisioning_key_created"
    PROVISIONING_KEY_REVOKED = "provisioning_key_revoked"
    PROVISIONING_STARTED = "provisioning_started"
    PROVISIONING_SUCCESS = "provisioning_success"
    PROVISIONING_FAILED = "provisioning_failed"
    PROVISIONING_LIMIT_EXCEEDED = "provisioning_limit_exceeded"
    KEY_EXCHANGE_SUCCESS = "key_exchange_success"
    KEY_EXCHANGE_FAILED = "key_exchange_failed"
    DEVICE_KEY_ROTATED = "device_key_rotated"
    DEVICE_KEY_REVOKED = "device_key_revoked"
    DEVICE_ONLINE = "device_online"
    DEVICE_OFFLINE = "device_offline"
    DEVICE_UPDATED = "device_updated"
    DEVICE_ACTIVATED = "device_activated"
    DEVICE_DEACTIVATED = "device_deactivated"
    DEVICE_DELETED = "device_deleted"
    DEVICE_CONFIG_UPDATE = "device_config_update"
    DEVICE_STATE_CHANGED = "device_state_changed"
    DEVICE_TAGS_CHANGED = "device_tags_changed"
    DEVICE_DRAFT_CHANGED = "device_draft_changed"
    SENSOR_CREATED = "sensor_created"
    SENSOR_UPDATED = "sensor_updated"
    SENSOR_DELETED = "sensor_deleted"
    AGENT_UPDATE_REQUESTED = "agent_update_requested"
    AGENT_UPDATE_CANCELLED = "agent_update_cancelled"
    AGENT_UPDATE_MOVED = "agent_update_moved"
    MQTT_USER_CREATED = "mqtt_user_created"
    MQTT_USER_UPDATED = "mqtt_user_updated"
    MQTT_USER_DELETED = "mqtt_user_deleted"
    MQTT_ROLE_CHANGED = "mqtt_role_changed"
    MQTT_ACL_CHANGED = "mqtt_acl_changed"
    BROKER_DRIFT_FOUND = "broker_drift_found"
    FLEET_CREATED = "fleet_created"
    FLEET_UPDATED = "fleet_updated"
    FLEET_DELETED = "fleet_deleted"
    FLEET_MEMBERS_CHANGED = "fleet_members_changed"
    AUTHENTICATION_FAILED = "authentication_failed"
    UNAUTHORIZED_ACCESS = "unauthorized_access"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"


class Severity(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One event before it is written; who, when and from where are taken from the context.

    Attributes:
        type: what happened.
        subject: what it happened to, as `noun:key`, e.g. `user:<uuid>`; empty for none.
        before, after: the values that changed, secrets masked by `masked`.
        details: whatever else helps; no secrets.
        agent_uuid: the agent it is about, if it is about one.
        tenant_id, user_id, session_id: instead of the caller's, while the caller is nobody yet.
    """

    type: AuditType
    subject: str = ""
    severity: Severity = Severity.INFO
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    agent_uuid: UUID | None = None
    tenant_id: int | None = None
    user_id: UUID | None = None
    session_id: UUID | None = None


def agent_entry(type_: AuditType, uuid: UUID, **more: Any) -> AuditEntry:
    """Return an entry about one agent; `more` are further attributes."""
    return AuditEntry(type_, f"agent:{uuid}", agent_uuid=uuid, **more)
