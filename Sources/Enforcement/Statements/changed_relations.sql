-- Target: what transactions from number $1 on (null: none) have changed of access control lists in this database: relations
-- (a table without its name for a sequence that its column owns), schemas and the database, and whether any function that runs
-- with its owner's rights; with them, from the same snapshot, the oldest transaction that has not ended, where the next look
-- begins, and when the server was started.
-- Subtransactions have greater numbers than their transaction, so that what is below the oldest has ended, all of it.
-- What has no list yet and is no relation has nothing of ours. Column by column only lists are looked for: a relation's
-- own row changes with all else.
with since as materialized (
  -- age() counts back from now, also where numbers have wrapped around; transactions 1 and 2 are older than any.
  select age(($1::bigint & 4294967295)::text::xid) as age
), changed as (
  select c.oid from pg_class c
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and c.relpersistence <> 't'
    and age(c.xmin) <= (select age from since)
  union
  select a.attrelid from pg_attribute a where a.attacl is not null and age(a.xmin) <= (select age from since)
  union
  select i.inhrelid from pg_inherits i where age(i.xmin) <= (select age from since)
)
select 'server' as family, null::bigint as oid, null as schema, null as name,
  pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon, pg_postmaster_start_time()::text as server_start
union all
select 'relation', coalesce(o.refobjid, c.oid)::bigint, n.nspname, case when o.refobjid is null then c.relname end, null, null
from changed x join pg_class c on c.oid = x.oid join pg_namespace n on n.oid = c.relnamespace
  left join lateral (
    select d.refobjid from pg_depend d
    where c.relkind = 'S' and d.classid = 'pg_class'::regclass and d.objid = c.oid and d.objsubid = 0
      and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')) o on true
union all
select 'schema', n.oid::bigint, null, null, null, null
from pg_namespace n where n.nspacl is not null and age(n.xmin) <= (select age from since)
union all
select 'database', b.oid::bigint, null, null, null, null
from pg_database b where b.datname = current_database() and age(b.xmin) <= (select age from since)
union all
select 'function', null, null, null, null, null
where exists (select from pg_proc f where f.prosecdef and age(f.xmin) <= (select age from since))
