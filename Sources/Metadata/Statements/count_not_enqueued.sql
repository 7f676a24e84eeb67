-- Jobs that Redis has not been told of, in the outbox and behind the refill: how many, counted up to $1 entries and
-- jobs; how long the oldest of them in the outbox has been due that no full connection holds up; whether Redis is being
-- filled again, since when it is full, and of how many connections' jobs.
with entry as (
  select size, case when not exists (select from full_connection f where f.connection_id = o.parked_by)
    then first_job end as first_job
  from outbox o limit $1
)
select
  (select coalesce(sum(size), 0) from entry)
    + (select count(*) from (
        select from refill r join lane l on l.parked_by = r.parked_by
          join job j on j.class = r.class and j.lane_id = l.id and j.finished_at is null
        where (j.lane_id, j.id) > (r.lane_id, r.job_id) limit $1) behind) as jobs,
  (select coalesce(max(greatest(extract(epoch from now() - greatest(j.created_at, j.scheduled_at)), 0)), 0)::bigint
    from job j where j.id = (select min(first_job) from entry) and j.finished_at is null) as oldest_s,
  exists (select from refill) as is_refilling,
  (select to_char(full_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') from queue_epoch) as full_since,
  (select count(*) from full_connection) as full_connections
