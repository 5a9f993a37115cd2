-- Move staged readings in; what was there already stays. Returns what was really inserted.
insert into reading_hot (tenant_id, agent_id, series_id, quality, kind, ts, value)
select tenant_id, agent_id, series_id, quality, kind, ts, value
from reading_staging
order by agent_id, series_id, ts
on conflict (agent_id, series_id, ts) do nothing
returning series_id, ts
