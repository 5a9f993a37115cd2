-- The texts of the tenant's text readings in a span.
select series_id, ts, value
from reading_text
where tenant_id = $1 and agent_id = any ($2::int[]) and series_id = any ($3::int[])
  and ts >= $4 and ts < $5
