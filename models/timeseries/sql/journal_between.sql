-- One tenant's journal rows that a later snapshot shows and an earlier one does not.
select seq, xid, tenant_id, agent_id, body
from journal
where tenant_id = $1 and xid >= $3 and ($6::int is null or agent_id = $6)
  and not pg_visible_in_snapshot(xid::text::xid8, $2::text::pg_snapshot)
  and pg_visible_in_snapshot(xid::text::xid8, $4::text::pg_snapshot)
  and seq > $5
order by seq
limit $7
