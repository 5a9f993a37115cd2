-- Raw readings of the tenant's series in a span, by series and time.
select series_id, ts, value, kind, quality
from reading_hot
where tenant_id = $1 and agent_id = any ($2::int[]) and series_id = any ($3::int[])
  and ts >= $4 and ts < $5
order by series_id, ts
limit $6
