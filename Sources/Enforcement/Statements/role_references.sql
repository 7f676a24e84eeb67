-- Target: what keeps the role $1 from being dropped, in every database of the instance.
select count(d.*) filter (where d.deptype = 'a') as grants, count(d.*) filter (where d.deptype = 'o') as owned,
  coalesce(array_agg(distinct coalesce(b.datname, 'the instance')) filter (where d.objid is not null), '{}') as databases
from pg_roles r
  left join pg_shdepend d on d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid and d.deptype in ('a', 'o')
  left join pg_database b on b.oid = d.dbid
where r.rolname = $1
group by r.oid
