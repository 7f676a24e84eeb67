-- Target: the columns of the relations $1, one row a relation, with the token that goes with them.
select c.oid::bigint as oid, coalesce(sum(a.xmin::text::bigint), 0)::bigint as token,
  coalesce(array_agg(a.attname::text order by a.attnum) filter (where not a.attisdropped), '{}') as names,
  coalesce(array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum) filter (where not a.attisdropped), '{}')
    as types
from pg_class c left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
where c.oid = any ($1::bigint[]::oid[])
group by c.oid
