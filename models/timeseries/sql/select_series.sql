-- The tenant's series by agents, devices and metrics.
select s.id, s.tenant_id, s.agent_id, a.uuid as agent_uuid, s.metric, s.device, s.unit,
       s.protocol, s.device_name, s.endpoint_uuid
from series s
join agent a on a.tenant_id = s.tenant_id and a.id = s.agent_id
where s.tenant_id = $1
  and ($2::int[] is null or s.agent_id = any ($2))
  and ($3::text[] is null or s.device = any ($3) or s.device_name = any ($3))
  and ($4::text[] is null or s.metric = any ($4))
order by s.agent_id, s.device_name, s.device, s.metric
limit $5
