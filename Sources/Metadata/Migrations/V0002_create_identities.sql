-- People, their groups and attributes, and the roles that they have on each connection.

create table identity (
  id bigint generated always as identity primary key,
  name text not null unique check (name <> '' and octet_length(name) <= 255),
  email text,
  -- The role on every connection that has no mapping of its own; without it the user's name is the role.
  role text check (role <> ''),
  created_at timestamptz not null default now()
);

create table user_group (
  id bigint generated always as identity primary key,
  name text not null unique check (name <> '' and octet_length(name) <= 255)
);

create table group_member (
  group_id bigint not null references user_group on delete cascade,
  identity_id bigint not null references identity on delete cascade,
  primary key (group_id, identity_id)
);
create index group_member_identity on group_member (identity_id);

create table attribute (
  identity_id bigint not null references identity on delete cascade,
  key text not null check (key <> ''),
  value text not null,
  primary key (identity_id, key, value)
);

-- A role of null says that the user has no account there.
create table mapping (
  identity_id bigint not null references identity on delete cascade,
  connection_id bigint not null references connection on delete cascade,
  role text check (role <> ''),
  primary key (identity_id, connection_id)
);
create index mapping_connection on mapping (connection_id);

-- The role of each user on each connection; null where the user has none.
create view user_role as
select i.id as identity_id, c.id as connection_id,
  case when m.identity_id is null then coalesce(i.role, i.name) else m.role end as role
from identity i
  cross join connection c
  left join mapping m on m.identity_id = i.id and m.connection_id = c.id
where c.state <> 'deleted';
