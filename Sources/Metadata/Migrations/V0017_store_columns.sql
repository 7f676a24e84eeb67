-- What a sync stores beside the tree, so that the next one reads only what has changed since.

-- What numbers the row that stands for it in the target's catalog, as of the last sync of the whole database: moves
-- with whatever changes it, grants too. Null if there was none since it was found.
alter table securable add column token bigint;
-- Of a database: what the tokens in it mean something in; with another one all are read again.
alter table securable add column token_origin text;

-- The columns of a relation, in their order.
create table relation_columns (
  securable_id bigint primary key references securable on delete cascade,
  -- Moves with every change of them.
  token bigint not null,
  names text[] not null,
  types text[] not null,
  check (cardinality(names) = cardinality(types))
);
