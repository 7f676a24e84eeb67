-- The desired state: what governors wrote (policies, subscriptions), and what policies compile to (audiences).

create table policy (
  id bigint generated always as identity primary key,
  name text not null unique check (name <> ''),
  effect text not null check (effect in ('grant', 'guardrail')),
  access text not null check (access in ('read', 'write')),
  state text not null check (state in ('active', 'staged')),
  -- Globs by part of the path: {"schema": ["marketing"], ...}; all given parts must match.
  target jsonb not null,
  condition text not null,
  -- The document in its one fixed form: the same again changes nothing.
  document text not null,
  expires_at timestamptz,
  -- Whether its expiry has been noticed and evaluated.
  expired boolean not null default false,
  applied_at timestamptz not null default now()
);

create table subscription (
  id bigint generated always as identity primary key,
  identity_id bigint not null references identity on delete cascade,
  securable_id bigint not null references securable on delete cascade,
  access text not null check (access in ('read', 'write')),
  expires_at timestamptz,
  -- The guardrail that the user does not meet; the subscription is kept but gives no access.
  barred_by text,
  created_at timestamptz not null default now(),
  unique (identity_id, securable_id)
);
create index subscription_securable on subscription (securable_id);
create index subscription_expiry on subscription (expires_at) where expires_at is not null;

create table audience (
  id bigint generated always as identity primary key,
  connection_id bigint not null references connection on delete cascade,
  -- The canonical condition with its access level: tables governed by the same share one audience.
  key text not null,
  access text not null check (access in ('read', 'write')),
  condition text not null,
  policies text[] not null,
  role text not null check (octet_length(role) <= 63),
  unique (connection_id, role)
);


create table audience_member (
  audience_id bigint not null references audience on delete cascade,
  identity_id bigint not null references identity on delete cascade,
  primary key (audience_id, identity_id)
);
create index audience_member_identity on audience_member (identity_id);

create table audience_securable (
  audience_id bigint not null references audience on delete cascade,
  securable_id bigint not null references securable on delete cascade,
  primary key (audience_id, securable_id)
);
create index audience_securable_securable on audience_securable (securable_id);

-- Roles in a target that Sluice has granted to. Only these are ever touched; only those it made are ever dropped.
create table managed_role (
  connection_id bigint not null references connection on delete cascade,
  role text not null check (octet_length(role) between 1 and 63),
  kind text not null check (kind in ('user', 'audience')),
  made boolean not null,
  dropped_at timestamptz,
  -- When it was made or granted to last; see managed_grant.
  noted_at timestamptz not null default now(),
  primary key (connection_id, role)
);

-- Privileges that Sluice has granted to users' roles directly: on a data source (USAGE is of the sequences that its
-- columns own), on its schema, on its database. People grant to such roles as well, by the same grantor on Lakebase:
-- what is not listed here is theirs, and is left alone unless a revoke names it.
create table managed_grant (
  connection_id bigint not null references connection on delete cascade,
  role text not null,
  securable_id bigint not null references securable on delete cascade,
  privilege text not null,
  -- When it was granted last: only what was noted before a run's read of the target may be forgotten after that run.
  noted_at timestamptz not null default now(),
  primary key (connection_id, role, securable_id, privilege)
);
create index managed_grant_securable on managed_grant (securable_id);

-- What every role should be able to do with every data source: the desired state of the database lanes.
create view desired_access as
select d.connection_id, d.database_id, d.schema_id, d.schema_oid, d.id as securable_id, d.kind, d.oid, r.role,
  u.access, 'user' as role_kind, u.identity_id, null::bigint as audience_id
from subscription u
  join data_source d on d.id = u.securable_id and d.enabled
  join user_role r on r.identity_id = u.identity_id and r.connection_id = d.connection_id and r.role is not null
where u.barred_by is null and (u.expires_at is null or u.expires_at > now())
union all
select d.connection_id, d.database_id, d.schema_id, d.schema_oid, d.id, d.kind, d.oid, a.role,
  a.access, 'audience', null::bigint, a.id
from audience a
  join audience_securable x on x.audience_id = a.id
  join data_source d on d.id = x.securable_id and d.enabled;

-- Who should be a member of which audience: the desired state of the roles lanes.
create view desired_member as
select a.connection_id, a.id as audience_id, a.role as audience_role, m.identity_id, r.role as member_role
from audience a
  join connection c on c.id = a.connection_id and c.state not in ('inactive', 'deleting', 'deleted')
  join audience_member m on m.audience_id = a.id
  join user_role r on r.identity_id = m.identity_id and r.connection_id = a.connection_id and r.role is not null
where exists (select from audience_securable x join data_source d on d.id = x.securable_id and d.enabled
  where x.audience_id = a.id);
