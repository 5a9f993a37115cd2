"""Row-level security on every table with tenants: the second fence.

A later migration that makes a table with `tenant_id` ends with `select raise_fence('its_name')`.

Behind a policy PostgreSQL uses an index only for operators that it knows to be leakproof. `lower` is
not: the names by which people log in get columns in lower case.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
create function raise_fence(fenced regclass) returns void language plpgsql as $$
begin
    execute format('alter table %s enable row level security', fenced);
    execute format('alter table %s force row level security', fenced);
    execute format(
        'create policy fence on %s using ('
        ' (select current_setting(''fleetgraph.tenant'', true) = ''0'')'
        ' or tenant_id = (select nullif(current_setting(''fleetgraph.tenant'', true), '''')::int))',
        fenced
    );
end
$$;

create function lower_fence(fenced regclass) returns void language plpgsql as $$
begin
    execute format('drop policy fence on %s', fenced);
    execute format('alter table %s no force row level security', fenced);
    execute format('alter table %s disable row level security', fenced);
end
$$;

select raise_fence(c.oid)
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
  and not c.relispartition and a.attname = 'tenant_id' and not a.attisdropped;

alter table user_account
    add username_key text generated always as (lower(username)) stored,
    add email_key text generated always as (lower(email)) stored;
drop index user_account_username, user_account_email;
create unique index user_account_username on user_account (username_key);
create unique index user_account_email on user_account (email_key);
"""

_BACKWARD = """
alter table user_account drop username_key, drop email_key;
create unique index user_account_username on user_account (lower(username));
create unique index user_account_email on user_account (lower(email));
select lower_fence(polrelid) from pg_policy where polname = 'fence';
drop function lower_fence, raise_fence;
"""


class Migration(migrations.Migration):
    """One policy for each table; partitions are reached through theirs."""

    dependencies = [("models", "0006_fleets")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
