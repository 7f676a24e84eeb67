-- Metadata database: the roles of users who should hold something directly in the schemas $2 of database $1, or in the
-- database itself if $2 names it.
select distinct role, schema_id as place_id from desired_access
where database_id = $1 and role_kind = 'user' and schema_id = any ($2)
union
select role, database_id from desired_access
where database_id = $1 and role_kind = 'user' and database_id = any ($2)
