-- Metadata database: the schemas of database $1 in which the roles $2 should have something, which belong to audiences or
-- to the people $3.
select distinct role, schema_oid from desired_access
where database_id = $1 and role_kind = 'audience' and role = any ($2)
union all
select distinct role, schema_oid from desired_access
where database_id = $1 and role_kind = 'user' and identity_id = any ($3) and role = any ($2)
