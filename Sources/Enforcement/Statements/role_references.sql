-- Target: what keeps those of the roles $1 that exist from being dropped: grants to them and what they own, in every
-- database of the instance, and memberships that are not Sluice's: who is a member of them, and of what they are. $2 are
-- those that are audiences, whose members Sluice makes; $3 is the policy role. What the login and the policy role
-- have of a role for having made it keeps nothing, nor does a membership in an audience that our REVOKE takes away.
with mine as (
  select oid, rolname from pg_roles where rolname = any ($1)
), acting as (
  select oid from pg_roles where rolname in (current_user, $3)
), used as (
  select d.refobjid as oid, count(*) filter (where d.deptype = 'o') as owned,
    count(*) filter (where d.deptype <> 'o') as grants,
    array_agg(distinct coalesce(b.datname, 'the instance')) as databases
  from pg_shdepend d left join pg_database b on b.oid = d.dbid
  where d.refclassid = 'pg_authid'::regclass and d.refobjid in (select oid from mine)
  group by 1
), related as (
  select m.roleid, m.member, pg_get_userbyid(m.grantor) as grantor, r.rolname as role, u.rolname as name
  from pg_auth_members m
    join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = m.member
  where (m.roleid in (select oid from mine) or m.member in (select oid from mine))
    and not (r.rolname = any ($2) and (m.grantor in (select oid from acting) or pg_has_role(m.grantor, 'USAGE')
      or current_setting('server_version_num')::int < 160000))
), kin as (
  select roleid as oid, format('role "%s" is a member of it, by "%s"', name, grantor) as membership
  from related where member not in (select oid from acting)
  union all
  select member, format('it is a member of role "%s", by "%s"', role, grantor) from related
)
select i.rolname as role, coalesce(u.grants, 0) as grants, coalesce(u.owned, 0) as owned,
  coalesce(u.databases, '{}') as databases,
  coalesce((select array_agg(k.membership order by k.membership) from kin k where k.oid = i.oid), '{}')
    as memberships
from mine i left join used u on u.oid = i.oid
