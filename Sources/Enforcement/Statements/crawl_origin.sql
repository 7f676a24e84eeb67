-- Target: what tokens mean something in: this database, of this server as it was started. A copy that was restored or
-- branched from an earlier state has numbered other changes the same way, and it was started later. The names of types,
-- which columns show, change without the columns: then all are read again. Grants on the database or on a sequence, which
-- no sync lists, move the token.
select concat_ws(' ', extract(epoch from pg_postmaster_start_time()), d.oid,
    (select sum(t.xmin::text::bigint + hashtext(n.nspname::text))
      from pg_type t join pg_namespace n on n.oid = t.typnamespace
      where t.oid >= 16384 and t.typtype in ('b', 'd', 'e', 'm', 'r') and t.typelem = 0)) as origin,
  (d.xmin::text::bigint
    + (select coalesce(sum(c.xmin::text::bigint), 0) from pg_class c where c.relkind = 'S'))::bigint as token
from pg_database d where d.datname = current_database()
