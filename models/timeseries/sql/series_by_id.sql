-- What is known of each series in a list of ids (from the journal, which knows the tenant).
select s.id, s.tenant_id, s.agent_id, a.uuid as agent_uuid, s.metric, s.device, s.unit,
       s.protocol, s.device_name, s.endpoint_uuid
from series s
join agent a on a.tenant_id = s.tenant_id and a.id = s.agent_id
where s.id = any ($1::int[])
