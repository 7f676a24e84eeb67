-- Metadata database: the schemas of database $1 in which the roles $2 should have something.
select distinct role, schema_oid from desired_access where database_id = $1 and role = any ($2)
