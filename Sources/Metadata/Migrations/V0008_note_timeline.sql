-- The timeline of this database when the epoch was raised. A standby that is promoted begins another, as does a database
-- that is restored to a point in time: what it does not know of the last results, Redis has settled and forgotten.
alter table queue_epoch add column timeline text;
update queue_epoch set timeline = left(pg_walfile_name(pg_current_wal_lsn()), 8);
