-- Target: the relations $1 that still exist, with the sequences their columns own (serial, not identity: an
-- INSERT into an identity column needs no privilege on its sequence).
select c.oid::bigint as oid, n.oid::bigint as schema_oid, n.nspname as schema, c.relname as name, c.relkind as kind,
  array(select d.objid::bigint from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S'
    where d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.classid = 'pg_class'::regclass
      and d.deptype = 'a' order by 1) as sequences
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = any ($1::bigint[]::oid[])
