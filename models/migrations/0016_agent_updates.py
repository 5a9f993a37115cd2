"""Updates of the agents' own software, and how far each is."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
create table agent_update (
    tenant_id int not null,
    id uuid primary key,
    agent_id int not null,
    agent_uuid uuid not null,
    from_version varchar(100),
    to_version varchar(100) not null,
    state varchar(20) not null,
    reason varchar(500),
    is_forced boolean not null default false,
    is_declared boolean not null default false,
    scheduled_at timestamptz,
    issued_at timestamptz not null,
    expires_at timestamptz not null,
    requested_by uuid,
    created_at timestamptz not null,
    acknowledged_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    agent_clock_ms bigint,
    progress jsonb not null default '[]'
);
create index agent_update_by_agent on agent_update (tenant_id, agent_id, created_at);
create index agent_update_by_time on agent_update (tenant_id, created_at);
create unique index agent_update_open on agent_update (tenant_id, agent_id)
    where state in ('pending', 'acknowledged', 'scheduled', 'in_progress');

select raise_fence('agent_update');
"""

_BACKWARD = """
drop table agent_update;
"""


class Migration(migrations.Migration):
    """Update commands and their progress."""

    dependencies = [("models", "0015_broker_messages")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
