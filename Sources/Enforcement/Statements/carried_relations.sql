-- Target: the relations that something gives the rows of, apart from those that are none of the data sources $3 (null: any):
-- the relations $2 themselves and, of a view, what it reads, of a parent its partitions, of a partition its parents; and, by
-- role, what is given by that which the roles $1 own or hold something on. Without an OID: a function of theirs, which may
-- give any. At most $4, with how many there are.
with recursive carried (role, oid) as (
  select null::name, unnest($2::bigint[]::oid[])
  union
  -- Looked up by hash ("is true" keeps it from becoming a join): of how many there are the server has no idea.
  select pg_get_userbyid(d.refobjid), case when d.classid = 'pg_class'::regclass then d.objid end
  from pg_shdepend d
  where d.refclassid = 'pg_authid'::regclass
    and (d.refobjid in (select oid from pg_roles where rolname = any ($1::text[]))) is true
    and d.classid in ('pg_class'::regclass, 'pg_proc'::regclass)
    and d.dbid = (select oid from pg_database where datname = current_database())
  union
  select c.role, n.oid
  from carried c
    cross join lateral (
      select d.refobjid from pg_rewrite w join pg_depend d on d.objid = w.oid
      where w.ev_class = c.oid and d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass
      union all select inhrelid from pg_inherits where inhparent = c.oid
      union all select inhparent from pg_inherits where inhrelid = c.oid
    ) n (oid)
)
select role, oid::bigint as oid, count(*) over () as "all"
from carried
where $3::bigint[] is null or oid is null or oid in (select unnest($3::bigint[]::oid[]))
limit $4
