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
    entry jsonb not null,
    target_version int not null,
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
create index endpoint_by_name on endpoint (tenant_id, name, agent_id, uuid);

-- Where names or uuids are wanting, agents skip the endpoint as well.
insert into endpoint (tenant_id, agent_id, uuid, name, protocol, status, entry, target_version,
                      created_at, created_by, updated_at, updated_by)
select t.tenant_id, t.agent_id, (e ->> 'uuid')::uuid, left(coalesce(e ->> 'name', ''), 255),
       left(coalesce(e ->> 'protocol', ''), 50), 'pending', e, t.version,
       t.updated_at, t.updated_by, t.updated_at, t.updated_by
from target_state t
cross join lateral jsonb_array_elements(
    case jsonb_typeof(t.config -> 'endpoints') when 'array' then t.config -> 'endpoints'
    else '[]' end) e
where e ->> 'uuid' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
on conflict do nothing;

select raise_fence('endpoint');
"""

_BACKWARD = """
drop table endpoint;
"""


class Migration(migrations.Migration):
    """What target states do not say of an endpoint: who, when, and what the agent made of it."""

    dependencies = [("models", "0010_target_state_versions")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
