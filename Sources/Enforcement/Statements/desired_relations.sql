-- Metadata database: the relations of database $2 on which roles of connection $1 should have something, or were given
-- something that is not known to be gone: those of the roles $4, or ($3) of all.
select oid from desired_access where database_id = $2 and ($3 or role = any ($4))
union
select s.oid from managed_grant g join securable s on s.id = g.securable_id
where g.connection_id = $1 and s.database_id = $2 and s.kind <> 'schema' and ($3 or g.role = any ($4))
