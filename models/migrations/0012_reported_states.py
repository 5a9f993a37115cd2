"""Reported states: health of endpoints, its history, and what changed when."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
alter table current_state add diverged_at timestamptz, add compared_version int;

create table endpoint_health (
    tenant_id int not null,
    agent_id int not null,
    name varchar(255) not null,
    protocol varchar(50),
    status varchar(50),
    connected boolean,
    last_poll timestamptz,
    last_seen timestamptz,
    error_count bigint,
    last_error varchar(1000),
    response_time_ms float8,
    poll_success_rate float8,
    communication_quality varchar(50),
    updated_at timestamptz not null,
    primary key (tenant_id, agent_id, name)
);

create table endpoint_health_history (
    tenant_id int not null,
    agent_id int not null,
    name varchar(255) not null,
    at timestamptz not null,
    protocol varchar(50),
    status varchar(50),
    connected boolean,
    last_poll timestamptz,
    error_count bigint,
    last_error varchar(1000),
    primary key (tenant_id, agent_id, name, at)
) partition by range (at);

create table state_history (
    tenant_id int not null,
    agent_id int not null,
    at timestamptz not null,
    is_replay boolean not null,
    version int,
    digest bytea not null,
    body jsonb not null,
    primary key (tenant_id, agent_id, at, digest)
) partition by range (at);

select raise_fence('endpoint_health'), raise_fence('endpoint_health_history'),
       raise_fence('state_history');
"""

_BACKWARD = """
drop table state_history, endpoint_health_history, endpoint_health;
alter table current_state drop diverged_at, drop compared_version;
"""


class Migration(migrations.Migration):
    """What reports tell beside the merged state."""

    dependencies = [("models", "0011_sensors")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
