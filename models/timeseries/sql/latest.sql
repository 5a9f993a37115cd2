-- The newest reading of each of the tenant's series, by agents and metrics.
select s.id, s.tenant_id, s.agent_id, a.uuid as agent_uuid, s.metric, s.device, s.unit,
       s.protocol, s.device_name, s.endpoint_uuid, l.ts, l.value, l.kind, l.quality, l.value_text
from reading_latest l
join series s on s.tenant_id = l.tenant_id and s.id = l.series_id
join agent a on a.tenant_id = l.tenant_id and a.id = l.agent_id
where l.tenant_id = $1
  and ($2::int[] is null or l.agent_id = any ($2))
  and ($3::text[] is null or s.metric = any ($3))
order by s.agent_id, s.device_name, s.device, s.metric
