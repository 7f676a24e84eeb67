-- Registered instances and the tree of what they hold.

create table connection (
  id bigint generated always as identity primary key,
  name text not null check (name ~ '^[A-Za-z0-9_-]{1,63}$'),
  kind text not null check (kind in ('lakebase', 'postgres')),
  host text not null check (host <> ''),
  host_address text,
  port int not null check (port between 1 and 65535),
  database text not null check (database <> ''),
  -- The role that Sluice logs in as: a service principal's application id, or a PostgreSQL user.
  username text not null check (username <> ''),
  tls text not null default 'verify-full' check (tls in ('disable', 'require', 'verify-full')),
  workspace_url text,
  instance_name text,
  endpoint text,
  -- AES-GCM under the key file; the connection's id is part of what is authenticated.
  sealed_secret bytea not null,
  sync_every interval not null default interval '1 hour' check (sync_every >= interval '1 minute'),
  new_data_sources text not null default 'enabled' check (new_data_sources in ('enabled', 'disabled')),
  default_policy text not null default 'none' check (default_policy in ('none', 'individually-selected')),
  state text not null default 'active'
    check (state in ('active', 'inactive', 'unhealthy', 'stopped', 'deleting', 'deleted')),
  state_reason text,
  state_since timestamptz not null default now(),
  server_version int,
  probe_failures int not null default 0 check (probe_failures >= 0),
  probe_at timestamptz,
  synced_at timestamptz,
  created_at timestamptz not null default now(),
  check (kind <> 'lakebase' or workspace_url is not null),
  check (kind <> 'lakebase' or (instance_name is null) <> (endpoint is null)),
  check (kind = 'lakebase' or (workspace_url is null and instance_name is null and endpoint is null))
);
-- A deleted connection keeps its history; its name is free again.
create unique index connection_name on connection (name) where state <> 'deleted';

-- Anything that grants go on, below a connection. Known by OID: a rename keeps the row.
create table securable (
  id bigint generated always as identity primary key,
  connection_id bigint not null references connection on delete cascade,
  parent_id bigint references securable on delete cascade,
  database_id bigint references securable on delete cascade,
  kind text not null check (kind in ('database', 'schema', 'table', 'partitioned_table', 'view',
    'materialized_view', 'foreign_table')),
  name text not null check (name <> ''),
  oid bigint not null check (oid > 0),
  owner text not null,
  setting text not null default 'inherit' check (setting in ('enabled', 'disabled', 'inherit')),
  found_at timestamptz not null default now(),
  dropped_at timestamptz,
  check ((kind = 'database') = (parent_id is null)),
  check ((kind = 'database') = (database_id is null)),
  -- Deferrable, because two tables (or databases) may swap their names between two syncs.
  constraint securable_name exclude using btree (parent_id with =, name with =)
    where (dropped_at is null and parent_id is not null) deferrable initially deferred,
  constraint securable_database exclude using btree (connection_id with =, name with =)
    where (dropped_at is null and kind = 'database') deferrable initially deferred
);
create unique index securable_relation_oid on securable (database_id, oid)
  where kind not in ('database', 'schema') and dropped_at is null;
create unique index securable_schema_oid on securable (database_id, oid)
  where kind = 'schema' and dropped_at is null;
create index securable_dropped on securable (database_id, oid) where dropped_at is not null;
create index securable_parent on securable (parent_id);
create index securable_connection on securable (connection_id);

-- A data source is a table-like securable that is enabled: by itself, or by the nearest level above that says so.
create view data_source as
select t.id, t.connection_id, c.name as connection, d.id as database_id, d.name as database, s.id as schema_id,
  s.name as schema, s.oid as schema_oid, t.name, t.kind, t.oid, t.owner,
  coalesce(nullif(t.setting, 'inherit'), nullif(s.setting, 'inherit'), nullif(d.setting, 'inherit'),
    c.new_data_sources) = 'enabled'
    and c.state not in ('inactive', 'deleting', 'deleted') as enabled
from securable t
  join securable s on s.id = t.parent_id
  join securable d on d.id = s.parent_id
  join connection c on c.id = t.connection_id
where t.kind not in ('database', 'schema')
  and t.dropped_at is null and s.dropped_at is null and d.dropped_at is null;

-- Which installation of Sluice this is: part of the names of the roles it makes, so that two never share one.
create table installation (
  single boolean primary key default true check (single),
  id uuid not null default gen_random_uuid()
);
insert into installation default values;
