-- Metadata database: whom the roles $1 may belong to on some connection. Whom a role belongs to is an expression that no
-- index knows; asked with these people, the views of what is desired need not ask it of every subscriber.
select id from identity where name = any ($1) or role = any ($1)
union
select identity_id from mapping where role = any ($1)
