-- Target: differs whenever roles have changed in a way by which somebody may reach relations, apart from memberships in the
-- audiences $1. A new role changes nothing, nor does what PostgreSQL gives to whoever makes one.
with audience as materialized (
  select oid from pg_roles where rolname = any ($1::text[])
), membership as materialized (
  select m.roleid, m.member, m.grantor, to_jsonb(m) - '{oid,roleid,member,grantor}'::text[] as options
  from pg_auth_members m where m.roleid not in (select oid from audience)
)
select md5(coalesce(string_agg(entry, ',' order by entry collate "C"), '')) as token
from (
  select concat_ws(' ', oid, rolsuper, rolcreaterole, rolinherit) from pg_roles
  where rolsuper or rolcreaterole or not rolinherit
  union
  select concat_ws(' ', roleid, member, options) from membership
  where not (grantor = 10 and options = '{"admin_option": true, "inherit_option": false, "set_option": false}'::jsonb)
) as x (entry)
