"""Fleets; and tags, location and fleet of agents."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
create table fleet (
    tenant_id int not null,
    id uuid primary key,
    name varchar(200) not null,
    type varchar(20) not null,
    status varchar(20) not null,
    environment varchar(100) not null default '',
    location varchar(200) not null default '',
    description varchar(1000) not null default '',
    tags jsonb not null default '{}',
    version int not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz
);
create unique index fleet_name on fleet (tenant_id, lower(name)) where deleted_at is null;

alter table agent
    add fleet_id uuid,
    add tags jsonb not null default '{}',
    add location varchar(200) not null default '';
create index agent_by_fleet on agent (tenant_id, fleet_id);
create index agent_by_name on agent (tenant_id, name, id);
"""

_BACKWARD = """
drop index agent_by_name;
alter table agent drop fleet_id, drop tags, drop location;
drop table fleet;
"""


class Migration(migrations.Migration):
    """One table, and columns of another."""

    dependencies = [("models", "0005_audit")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
