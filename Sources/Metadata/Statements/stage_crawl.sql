-- Where a crawl is put before it is compared; gone with the transaction. crawled_schema also serves for databases.
create temporary table if not exists crawled_schema (oid bigint primary key, name text, owner text, token bigint)
  on commit drop;
create temporary table if not exists crawled_relation (oid bigint primary key, schema_oid bigint, name text, kind text,
  owner text, token bigint, columns_token bigint) on commit drop;
create temporary table if not exists crawled_columns (oid bigint primary key, token bigint, names text[], types text[])
  on commit drop;
truncate crawled_schema, crawled_relation, crawled_columns;
