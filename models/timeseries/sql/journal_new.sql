-- Journal rows that are visible now and were not in an earlier snapshot.
select seq, xid, tenant_id, agent_id, body, pg_current_snapshot()::text as snapshot
from journal
where xid >= $2 and not pg_visible_in_snapshot(xid::text::xid8, $1::text::pg_snapshot)
order by seq
