-- One journal row per batch and agent, in the transaction that stores the readings.
insert into journal (tenant_id, agent_id, reading_count, at, body)
select w.tenant_id, w.agent_id, w.reading_count, $5, w.body
from unnest($1::int[], $2::int[], $3::int[], $4::bytea[])
    as w (tenant_id, agent_id, reading_count, body)
