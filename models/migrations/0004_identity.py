"""Accounts, sessions, API keys, invitations, and mail that waits to be sent."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
alter table user_account
    add must_change_password boolean not null default false,
    add password_changed_at timestamptz;

create table session (
    tenant_id int not null,
    id uuid primary key,
    user_id uuid not null,
    created_at timestamptz not null,
    last_used_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz,
    end_reason varchar(50),
    remote_address varchar(64) not null,
    user_agent varchar(300) not null
);
create index session_by_user on session (tenant_id, user_id, ended_at);
create index session_by_end on session (expires_at);

create table refresh_token (
    tenant_id int not null,
    session_id uuid not null references session (id) on delete cascade,
    token_hash bytea primary key,
    issued_at timestamptz not null,
    used_at timestamptz,
    successor bytea
);
create index refresh_token_by_session on refresh_token (tenant_id, session_id);

create table password_reset (
    tenant_id int not null,
    token_hash bytea primary key,
    user_id uuid not null,
    created_at timestamptz not null,
    expires_at timestamptz not null
);
create index password_reset_by_user on password_reset (tenant_id, user_id);

create table invitation (
    tenant_id int not null,
    id uuid primary key,
    token_hash bytea not null unique,
    email varchar(254) not null,
    role varchar(20) not null,
    created_by uuid,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    revoked_at timestamptz
);
create index invitation_by_tenant on invitation (tenant_id, created_at);

create table api_key (
    tenant_id int not null,
    id uuid primary key,
    user_id uuid not null,
    parent_id uuid,
    name varchar(100) not null,
    description varchar(500) not null default '',
    key_hash bytea not null unique,
    key_prefix varchar(20) not null,
    scopes jsonb not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
create unique index api_key_name on api_key (tenant_id, lower(name)) where revoked_at is null;
create index api_key_by_user on api_key (tenant_id, user_id);
create index api_key_by_parent on api_key (parent_id) where parent_id is not null;

create table outgoing_mail (
    tenant_id int not null,
    id uuid primary key,
    sealed bytea not null,
    created_at timestamptz not null,
    due_at timestamptz not null,
    attempts int not null default 0,
    last_error varchar(500)
);
create index outgoing_mail_due on outgoing_mail (due_at);
"""

_BACKWARD = """
drop table outgoing_mail, api_key, invitation, password_reset, refresh_token, session;
alter table user_account drop must_change_password, drop password_changed_at;
"""


class Migration(migrations.Migration):
    """Tables of who may come in, and how."""

    dependencies = [("models", "0003_kept_answers")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
