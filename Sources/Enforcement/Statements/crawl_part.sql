-- Target: the OIDs of what is in a part of the database, found by index: of the schema with OID $1 or name $2 (there only
-- the relation named $3, if one is given), and of the relations $4 wherever they are now, with the schemas that hold them.
-- No index leads from a schema to its relations but that of what depends on it.
with schema as (
  select n.oid from pg_namespace n where n.oid = $1::bigint::oid or n.nspname = $2
), relation as (
  select c.oid, c.relnamespace from pg_class c where c.oid = any ($4::bigint[]::oid[])
  union
  select c.oid, c.relnamespace
  from schema s
    join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = s.oid
      and d.classid = 'pg_class'::regclass
    join pg_class c on c.oid = d.objid
  where $3::text is null
  union
  select c.oid, c.relnamespace
  from schema s join pg_class c on c.relnamespace = s.oid and c.relname = $3
)
select oid::bigint as oid, false as is_schema from relation
union all
select oid::bigint, true from (select relnamespace from relation union select oid from schema where $3::text is null)
  as s (oid)
