-- Target: where the roles $1 hold anything in this database, found from the roles (pg_shdepend is indexed by them, and
-- no access control list is read): in the schemas $2 or (null) in all relations, a sequence at the table whose column
-- owns it, and columns, functions and types, whose entries are none of ours and a reason to keep USAGE.
-- Role by role: the server has no statistics of what was granted just now, and would compare every entry with every role.
with grantee as materialized (
  select oid, rolname from pg_roles where rolname = any ($1)
), held as materialized (
  select g.rolname, d.classid, d.objid, d.objsubid
  from grantee g cross join lateral (
    select classid, objid, objsubid from pg_shdepend
    where refclassid = 'pg_authid'::regclass and refobjid = g.oid and deptype = 'a'
      and dbid = (select oid from pg_database where datname = current_database())
    offset 0) d
)
select 'relation' as family, h.rolname as role, coalesce(t.refobjid, c.oid)::bigint as oid,
  c.relnamespace::bigint as schema
from held h join pg_class c on h.classid = 'pg_class'::regclass and h.objsubid = 0 and c.oid = h.objid
  left join pg_depend t on c.relkind = 'S' and t.classid = 'pg_class'::regclass and t.objid = c.oid
    and t.refclassid = 'pg_class'::regclass and t.deptype = 'a'
where $2::bigint[] is null or c.relnamespace = any ($2::bigint[]::oid[])
union
select 'other', h.rolname, 0, s.oid::bigint
from held h
  left join pg_class c on h.classid = 'pg_class'::regclass and h.objsubid <> 0 and c.oid = h.objid
  left join pg_proc p on h.classid = 'pg_proc'::regclass and p.oid = h.objid
  left join pg_type t on h.classid = 'pg_type'::regclass and t.oid = h.objid
  join pg_namespace s on s.oid = coalesce(c.relnamespace, p.pronamespace, t.typnamespace)
where $2::bigint[] is null or s.oid = any ($2::bigint[]::oid[])
