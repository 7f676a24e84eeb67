-- Target: where the roles $1 hold anything in this database, found from the roles (pg_shdepend is indexed by them, and
-- no access control list is read): schemas; and in the schemas $2 or (null) in all relations, a sequence at the table
-- whose column owns it, and columns, functions and types, whose entries are none of ours and a reason to keep USAGE.
with held as materialized (
  select r.rolname, d.classid, d.objid, d.objsubid
  from pg_shdepend d join pg_roles r on r.oid = d.refobjid
  where d.refclassid = 'pg_authid'::regclass and d.deptype = 'a' and r.rolname = any ($1)
    and d.dbid = (select oid from pg_database where datname = current_database())
), relation as materialized (
  select h.rolname, c.oid, c.relkind, c.relnamespace
  from held h join pg_class c on h.classid = 'pg_class'::regclass and h.objsubid = 0 and c.oid = h.objid
  where $2::bigint[] is null or cardinality($2::bigint[]) > 0 and c.relnamespace = any ($2::bigint[]::oid[])
)
select 'relation' as family, c.rolname as role, c.oid::bigint as oid, c.relnamespace::bigint as schema
from relation c where c.relkind <> 'S'
union all
select 'relation', c.rolname, coalesce(t.refobjid, c.oid)::bigint, c.relnamespace::bigint
from relation c left join pg_depend t on t.classid = 'pg_class'::regclass and t.objid = c.oid
  and t.refclassid = 'pg_class'::regclass and t.deptype = 'a'
where c.relkind = 'S'
union all
select 'schema', h.rolname, h.objid::bigint, h.objid::bigint
from held h
where h.classid = 'pg_namespace'::regclass
union all
select 'other', h.rolname, 0, s.oid::bigint
from held h
  left join pg_class c on h.classid = 'pg_class'::regclass and c.oid = h.objid
  left join pg_proc p on h.classid = 'pg_proc'::regclass and p.oid = h.objid
  left join pg_type t on h.classid = 'pg_type'::regclass and t.oid = h.objid
  join pg_namespace s on s.oid = coalesce(c.relnamespace, p.pronamespace, t.typnamespace)
where (h.classid in ('pg_proc'::regclass, 'pg_type'::regclass) or h.classid = 'pg_class'::regclass and h.objsubid <> 0)
  and ($2::bigint[] is null or s.oid = any ($2::bigint[]::oid[]))
