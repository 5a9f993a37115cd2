"""Answers that are kept for calls which come again with the same Idempotency-Key."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
create table kept_answer (
    tenant_id int not null,
    caller text not null,
    endpoint text not null,
    key_hash bytea not null,
    request bytea not null,
    answer bytea,
    begun_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (tenant_id, caller, endpoint, key_hash)
);
create index kept_answer_by_end on kept_answer (tenant_id, expires_at);
"""


class Migration(migrations.Migration):
    """One table."""

    dependencies = [("models", "0002_timeseries")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql="drop table kept_answer;")]
