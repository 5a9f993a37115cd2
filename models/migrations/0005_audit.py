"""The audit log: events, and signed checkpoints of their chain."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
create table audit_event (
    tenant_id int not null,
    id bigint generated always as identity primary key,
    xid bigint not null default (pg_current_xact_id()::text::bigint),
    event_type varchar(50) not null,
    severity varchar(10) not null,
    actor varchar(20) not null,
    user_id uuid,
    api_key_id uuid,
    session_id uuid,
    agent_uuid uuid,
    subject varchar(300) not null,
    ip_address varchar(64) not null,
    user_agent varchar(300) not null,
    request_id varchar(128) not null,
    details jsonb not null,
    created_at timestamptz not null,
    position bigint,
    chain_hash bytea
);
create index audit_event_by_time on audit_event (tenant_id, created_at desc, id desc);
create index audit_event_by_agent on audit_event (tenant_id, agent_uuid, created_at desc)
    where agent_uuid is not null;
create index audit_event_by_user on audit_event (tenant_id, user_id, created_at desc)
    where user_id is not null;
create unique index audit_event_position on audit_event (tenant_id, position);
create index audit_event_unchained on audit_event (xid, id) where position is null;

create table audit_checkpoint (
    tenant_id int not null,
    position bigint not null,
    chain_hash bytea not null,
    previous bigint not null,
    created_at timestamptz not null,
    trimmed_at timestamptz,
    signature bytea not null,
    primary key (tenant_id, position)
);
"""

_BACKWARD = "drop table audit_checkpoint, audit_event;"


class Migration(migrations.Migration):
    """Two tables."""

    dependencies = [("models", "0004_identity")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
