"""Device keys that end, and revoked provisioning keys."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_FORWARD = """
alter table device_key
    add expires_at timestamptz,
    add revoked_at timestamptz,
    add first_used_at timestamptz,
    add last_used_at timestamptz,
    add reason varchar(500) not null default '';

alter table provisioning_key
    add revoked_at timestamptz,
    add revoked_by uuid,
    add revoke_reason varchar(500) not null default '';
"""

_BACKWARD = """
alter table provisioning_key drop revoked_at, drop revoked_by, drop revoke_reason;
alter table device_key
    drop expires_at, drop revoked_at, drop first_used_at, drop last_used_at, drop reason;
"""


class Migration(migrations.Migration):
    """How a key's life ends."""

    dependencies = [("models", "0012_reported_states")]

    operations = [ops.RunSQL(_FORWARD, reverse_sql=_BACKWARD)]
