"""Bookkeeping of the endpoints in target states."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
create table endpoint (
    tenant_id int not null,
    agent_id int not null,
    uuid uuid not null,
    name varchar(255) not null,
    protocol varchar(50) not null,
    status varchar(20) not null,
    location varchar(200) not null default '',
    created_at timestamptz not null,
    created_by uuid,
    updated_at timestamptz not null,
    updated_by uuid,
    deployed_at timestamptz,
    deployment_error varchar(1000),
    deployment_attempts int not null default 0,
    primary key (tenant_id, agent_id, uuid)
);
create index endpoint_by_name on endpoint (tenant_id, agent_id, name);

select raise_fence('endpoint');
"""

_BACKWARD = """
drop table endpoint;
"""


class Migration(migrations.Migration):
    """What target states do not say of an endpoint: who, when, and what the agent made of it."""

    dependencies = [("models", "0010_target_state_versions")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
