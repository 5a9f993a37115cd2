-- Buckets of the tenant's numeric readings: all aggregates of each, the caller picks one.
select series_id, date_bin($6, ts, timestamptz '1970-01-01 00:00:00+00') as bucket,
       avg(value) as avg, min(value) as min, max(value) as max, sum(value) as sum,
       count(*)::float8 as count,
       (array_agg(value order by ts))[1] as first,
       (array_agg(value order by ts desc))[1] as last,
       max(quality) as quality,
       count(*) filter (where quality = 0) as good
from reading_hot
where tenant_id = $1 and agent_id = any ($2::int[]) and series_id = any ($3::int[])
  and ts >= $4 and ts < $5 and kind in (0, 1) and value <> 'NaN'::float8
group by series_id, bucket
order by series_id, bucket
limit $7
