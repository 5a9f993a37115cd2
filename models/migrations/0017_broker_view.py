"""What the broker and the agents' traffic looked like last."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
create table agent_traffic (
    tenant_id int not null,
    agent_id int not null,
    last_message_at timestamptz not null,
    messages bigint not null,
    bytes bigint not null,
    primary key (tenant_id, agent_id)
);

create table broker_status (
    name varchar(100) primary key,
    value jsonb not null,
    at timestamptz not null
);

select raise_fence('agent_traffic');
"""

_BACKWARD = """
drop table broker_status, agent_traffic;
"""


class Migration(migrations.Migration):
    """The broker as operators see it."""

    dependencies = [("models", "0016_agent_updates")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
