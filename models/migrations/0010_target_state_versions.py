"""Every version of each target state, and drafts."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
alter table target_state
    add draft_apps jsonb,
    add draft_config jsonb,
    add draft_of int,
    add draft_by uuid,
    add draft_at timestamptz;

create table target_state_version (
    tenant_id int not null,
    agent_id int not null,
    version int not null,
    apps jsonb not null,
    config jsonb not null,
    etag varchar(64) not null,
    created_at timestamptz not null,
    created_by uuid,
    author varchar(300) not null,
    comment varchar(500) not null default '',
    primary key (tenant_id, agent_id, version)
);

insert into target_state_version
    (tenant_id, agent_id, version, apps, config, etag, created_at, created_by, author)
select tenant_id, agent_id, version, apps, config, etag, updated_at, updated_by, ''
from target_state;

select raise_fence('target_state_version');

create sequence target_service_id;
"""

_BACKWARD = """
drop sequence target_service_id;
drop table target_state_version;
alter table target_state
    drop draft_apps, drop draft_config, drop draft_of, drop draft_by, drop draft_at;
"""


class Migration(migrations.Migration):
    """History of target states."""

    dependencies = [("models", "0009_broker_accounts")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
