"""Messages to agents that the broker is to have."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
create table broker_message (
    tenant_id int not null,
    agent_uuid uuid not null,
    channel varchar(100) not null,
    tenant_uuid uuid not null,
    agent_id int not null,
    payload bytea not null,
    revision bigint not null,
    published_revision bigint not null default 0,
    changed_at timestamptz not null,
    claimed_until timestamptz not null default '-infinity',
    primary key (tenant_id, agent_uuid, channel)
);
create index broker_message_waiting on broker_message (changed_at)
    where published_revision < revision;

select raise_fence('broker_message');
"""

_BACKWARD = """
drop table broker_message;
"""


class Migration(migrations.Migration):
    """The outbox of everything that is published to agents.

    A row names the agent as its topic does: the message has to be taken away when the agent is
    gone, and its uuid may register anew.
    """

    dependencies = [("models", "0014_log_drops")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
