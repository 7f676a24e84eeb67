-- The form in which what an audience opens to its members is granted, and audiences of individual subscriptions.

-- Roles that Sluice may have in the instance: those of audiences, and those that it made for users. A Lakebase branch
-- allows 500.
alter table connection add column role_budget int check (role_budget between 0 and 100000);
update connection set role_budget = case kind when 'lakebase' then 400 else 10000 end;
alter table connection alter column role_budget set not null;

-- What moves an audience:
--   direct    its members hold the grants themselves; a role that it had keeps its members until it is dropped
--   joining   its role holds the grants, and its members join; who held grants directly keeps them meanwhile
--   audience  its role holds the grants; from joining, once every member was read back as one
--   unplaced  the role budget and the bound on direct grants have no place for it: nobody holds anything through it
alter table audience
  add column form text not null default 'audience' check (form in ('direct', 'joining', 'audience', 'unplaced')),
  -- The data source whose subscriptions by hand it stands for; null for an audience that policies ask for.
  add column securable_id bigint references securable on delete cascade;
create unique index audience_subscribed on audience (securable_id, access) where securable_id is not null;

-- As before, by form. A subscription is granted directly unless its data source has an audience for that access.
create or replace view desired_access as
select d.connection_id, d.database_id, d.schema_id, d.schema_oid, d.id as securable_id, d.kind, d.oid, r.role,
  u.access, 'user' as role_kind, u.identity_id, null::bigint as audience_id
from subscription u
  join data_source d on d.id = u.securable_id and d.enabled
  join user_role r on r.identity_id = u.identity_id and r.connection_id = d.connection_id and r.role is not null
  left join audience a on a.securable_id = u.securable_id and a.access = u.access and a.form in ('joining', 'audience')
where u.barred_by is null and (u.expires_at is null or u.expires_at > now())
  and (a.id is null or a.form = 'joining' and exists (select from managed_grant g
    where (g.connection_id, g.role, g.securable_id) = (d.connection_id, r.role, d.id)))
union all
select d.connection_id, d.database_id, d.schema_id, d.schema_oid, d.id, d.kind, d.oid, a.role,
  a.access, 'audience', null::bigint, a.id
from audience a
  join audience_securable x on x.audience_id = a.id
  join data_source d on d.id = x.securable_id and d.enabled
where a.form in ('joining', 'audience')
union all
select d.connection_id, d.database_id, d.schema_id, d.schema_oid, d.id, d.kind, d.oid, r.role,
  a.access, 'user', m.identity_id, null::bigint
from audience a
  join audience_securable x on x.audience_id = a.id
  join data_source d on d.id = x.securable_id and d.enabled
  join audience_member m on m.audience_id = a.id
  join user_role r on r.identity_id = m.identity_id and r.connection_id = a.connection_id and r.role is not null
where a.form in ('direct', 'joining')
  and (a.form = 'direct' or exists (select from managed_grant g
    where (g.connection_id, g.role, g.securable_id) = (d.connection_id, r.role, d.id)));

-- As before, by form, and with the subscribers of data sources that have an audience for them.
create or replace view desired_member as
select a.connection_id, a.id as audience_id, a.role as audience_role, m.identity_id, r.role as member_role
from audience a
  join connection c on c.id = a.connection_id and c.state not in ('inactive', 'deleting', 'deleted')
  cross join lateral (
    select identity_id from audience_member where audience_id = a.id
    union
    select u.identity_id from subscription u
    where u.securable_id = a.securable_id and u.access = a.access and u.barred_by is null
      and (u.expires_at is null or u.expires_at > now())
  ) m
  join user_role r on r.identity_id = m.identity_id and r.connection_id = a.connection_id and r.role is not null
where exists (select from audience_securable x join data_source d on d.id = x.securable_id and d.enabled
    where x.audience_id = a.id)
  and (a.form in ('joining', 'audience')
    or a.form = 'direct' and exists (select from managed_role o
      where (o.connection_id, o.role) = (a.connection_id, a.role) and o.dropped_at is null));
