-- Where a crawl is put before it is compared; gone with the transaction. crawled_schema also serves for databases.
create temporary table if not exists crawled_schema (oid bigint primary key, name text, owner text) on commit drop;
create temporary table if not exists crawled_relation (oid bigint primary key, schema_oid bigint, name text, kind text,
  owner text) on commit drop;
truncate crawled_schema, crawled_relation;
