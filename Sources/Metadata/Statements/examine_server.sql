-- What the server of the metadata database says about itself: one row.
select current_setting('server_version') as version, current_setting('server_version_num')::bigint as version_number,
  pg_is_in_recovery() as is_replica, current_setting('fsync') as fsync,
  current_setting('full_page_writes') as full_page_writes, current_setting('synchronous_commit') as synchronous_commit,
  current_setting('autovacuum') as autovacuum, current_setting('max_connections')::bigint as max_connections,
  (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,
  -- Rows that a transaction may still see cannot be cleaned up: the ledger grows as long as it is open.
  (select coalesce(extract(epoch from max(now() - xact_start)), 0)::bigint from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend') as longest_transaction_s,
  -- A scheduler's session lock, of key $1, and since when that session has said nothing: the leader asks twice a second
  -- whether it still leads. Null if none leads; zero if this role may not see the other's session.
  (select greatest(coalesce(extract(epoch from clock_timestamp() - a.state_change), 0) * 1000, 0)::bigint
    from pg_locks l join pg_database d on d.oid = l.database left join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and d.datname = current_database()
      and (l.classid::bigint << 32 | l.objid::bigint) = $1) as leader_silence_ms
