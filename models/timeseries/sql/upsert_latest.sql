-- Keep the newest reading of each series; an older one changes nothing.
insert into reading_latest as l (tenant_id, agent_id, series_id, quality, kind, ts, value,
                                 value_text)
select w.tenant_id, w.agent_id, w.series_id, w.quality, w.kind,
       timestamptz 'epoch' + w.us * interval '1 microsecond', w.value, w.value_text
from unnest($1::int[], $2::int[], $3::int[], $4::smallint[], $5::smallint[], $6::bigint[],
            $7::float8[], $8::text[])
    as w (tenant_id, agent_id, series_id, quality, kind, us, value, value_text)
on conflict (agent_id, series_id) do update
    set quality = excluded.quality, kind = excluded.kind, ts = excluded.ts,
        value = excluded.value, value_text = excluded.value_text
    where l.ts < excluded.ts
