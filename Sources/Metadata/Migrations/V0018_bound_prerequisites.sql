-- Audiences of schemas and databases: they carry USAGE or CONNECT where more users hold something directly than an access
-- control list should have entries. Such an audience has a schema or database for its securable, no members that are
-- stored, and the forms of the audiences of subscriptions.

-- As before, and with the members of those audiences: whoever should have anything there, however that is granted. So
-- nobody is between two ways in when a data source or a policy changes its form.
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
      where (o.connection_id, o.role) = (a.connection_id, a.role) and o.dropped_at is null))
union all
select a.connection_id, a.id, a.role, m.identity_id, r.role
from audience a
  join connection c on c.id = a.connection_id and c.state not in ('inactive', 'deleting', 'deleted')
  join securable s on s.id = a.securable_id and s.kind in ('schema', 'database')
  -- Schema and database apart, because each has an index of its own.
  cross join lateral (
    select u.identity_id from data_source d join subscription u on u.securable_id = d.id
    where d.schema_id = s.id and d.enabled and u.barred_by is null and (u.expires_at is null or u.expires_at > now())
    union
    select u.identity_id from data_source d join subscription u on u.securable_id = d.id
    where d.database_id = s.id and d.enabled and u.barred_by is null and (u.expires_at is null or u.expires_at > now())
    union
    select m.identity_id from audience b join audience_member m on m.audience_id = b.id
    where b.connection_id = a.connection_id and b.form <> 'unplaced'
      and exists (select from audience_securable x join data_source d on d.id = x.securable_id and d.enabled
        where x.audience_id = b.id and s.id in (d.schema_id, d.database_id))
  ) m
  join user_role r on r.identity_id = m.identity_id and r.connection_id = a.connection_id and r.role is not null
where a.form in ('joining', 'audience')
  or a.form = 'direct' and exists (select from managed_role o
    where (o.connection_id, o.role) = (a.connection_id, a.role) and o.dropped_at is null);
