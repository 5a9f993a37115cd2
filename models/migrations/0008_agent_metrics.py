"""History of the gateways' own figures; log lines get an id, and an index for one service's."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
create table agent_metric (
    tenant_id int not null,
    agent_id int not null,
    at timestamptz not null,
    cpu_usage float8,
    cpu_temp float8,
    memory_usage float8,
    memory_total float8,
    storage_usage float8,
    storage_total float8,
    uptime_seconds float8,
    top_processes jsonb,
    primary key (tenant_id, agent_id, at)
) partition by range (at);

-- Not an identity column: PostgreSQL knows those in partitioned tables from version 17 on only.
create sequence device_log_seq;
alter table device_log add id bigint not null default nextval('device_log_seq');
drop index device_log_by_agent;
create index device_log_by_agent on device_log (tenant_id, agent_id, at, id);
create index device_log_by_service on device_log (tenant_id, agent_id, service, at, id);

select raise_fence('agent_metric');
"""

_BACKWARD = """
drop index device_log_by_service, device_log_by_agent;
create index device_log_by_agent on device_log (tenant_id, agent_id, at);
alter table device_log drop id;
drop sequence device_log_seq;
drop table agent_metric;
"""


class Migration(migrations.Migration):
    """What the register tells of an agent's past."""

    dependencies = [("models", "0007_fences")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
