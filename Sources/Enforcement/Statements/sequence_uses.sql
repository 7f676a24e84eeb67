-- Target: the sequences among the relations $1, and those that an INSERT into one of them takes numbers from, each with
-- every relation that it serves so: the table whose column owns it (serial, not identity: that needs no privilege on its
-- sequence), tables and views whose defaults use it, and views that are written through to one of them. nextval() asks for
-- the privilege of who inserts, whoever owns the view.
-- From row to row by index: how few rows each step has, the server does not know.
with recursive based (relation) as (
  select r.oid::oid from unnest($1::bigint[]) as r (oid)
  union
  select v.base
  from based b cross join lateral (
    select min(d.refobjid) as base
    from pg_class v join pg_rewrite w on w.ev_class = v.oid and w.rulename = '_RETURN'
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
        and d.refobjid <> v.oid
      join pg_class c on c.oid = d.refobjid and c.relkind in ('r', 'p', 'v', 'f')
    where v.oid = b.relation and v.relkind = 'v'
    having min(d.refobjid) = max(d.refobjid)) v
), sequence as materialized (
  select distinct s.oid, s.relname, s.relnamespace
  from based b
    cross join lateral (
      select d.objid as oid from pg_depend d
      where d.refclassid = 'pg_class'::regclass and d.refobjid = b.relation and d.classid = 'pg_class'::regclass
        and d.deptype = 'a'
      union all
      select d.refobjid from pg_attrdef a join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
        and d.refclassid = 'pg_class'::regclass
      where a.adrelid = b.relation
      union all
      select b.relation
      offset 0) u
    cross join lateral (
      select c.oid, c.relname, c.relnamespace from pg_class c where c.oid = u.oid and c.relkind = 'S' offset 0) s
), used (sequence, relation) as (
  select s.oid, u.relation
  from sequence s cross join lateral (
    select d.refobjid as relation from pg_depend d
    where d.classid = 'pg_class'::regclass and d.objid = s.oid and d.refclassid = 'pg_class'::regclass and d.deptype = 'a'
    union all
    select a.adrelid from pg_depend d join pg_attrdef a on a.oid = d.objid
    where d.refclassid = 'pg_class'::regclass and d.refobjid = s.oid and d.classid = 'pg_attrdef'::regclass
    offset 0) u
  union
  select u.sequence, v.oid
  from used u cross join lateral (
    select v.oid
    from pg_depend d join pg_rewrite w on w.oid = d.objid and w.rulename = '_RETURN' and w.ev_class <> u.relation
      join pg_class v on v.oid = w.ev_class and v.relkind = 'v'
    where d.refclassid = 'pg_class'::regclass and d.refobjid = u.relation and d.classid = 'pg_rewrite'::regclass
      and not exists (
        select from pg_depend o join pg_class c on c.oid = o.refobjid and c.relkind in ('r', 'p', 'v', 'f')
        where o.classid = 'pg_rewrite'::regclass and o.objid = w.oid and o.refclassid = 'pg_class'::regclass
          and o.refobjid not in (v.oid, u.relation))
    offset 0) v
)
select s.oid::bigint as oid, n.oid::bigint as schema_oid, n.nspname as schema, s.relname as name,
  c.oid::bigint as relation, c.relkind::text as kind, c.relnamespace::bigint as relation_schema
from sequence s join pg_namespace n on n.oid = s.relnamespace
  left join used u on u.sequence = s.oid
  left join lateral (
    select c.oid, c.relkind, c.relnamespace from pg_class c
    where c.oid = u.relation and c.relkind in ('r', 'p', 'v', 'f')
    offset 0) c on true
order by 1, 5
