-- The ids of series by fingerprint; new ones are made, changed attributes are kept up to date.
with wanted as (
    select *
    from unnest($1::int[], $2::int[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::text[], $9::text[])
        as w (tenant_id, agent_id, fingerprint, metric, device, unit, protocol, device_name,
              endpoint_uuid)
)
insert into series as s (tenant_id, agent_id, fingerprint, metric, device, labels, unit, protocol,
                         device_name, endpoint_uuid, created_at)
select w.tenant_id, w.agent_id, w.fingerprint, w.metric, w.device,
       jsonb_build_object('device', w.device), w.unit, w.protocol, w.device_name,
       w.endpoint_uuid, $10
from wanted w
order by w.tenant_id, w.fingerprint
on conflict (tenant_id, fingerprint) do update
    set unit = coalesce(nullif(excluded.unit, ''), s.unit),
        protocol = coalesce(nullif(excluded.protocol, ''), s.protocol),
        device_name = coalesce(nullif(excluded.device_name, ''), s.device_name),
        endpoint_uuid = coalesce(nullif(excluded.endpoint_uuid, ''), s.endpoint_uuid)
returning s.id, s.fingerprint
