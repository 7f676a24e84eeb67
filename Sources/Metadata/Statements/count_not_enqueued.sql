-- Jobs that Redis has not been told of, in the outbox and behind the refill: how many, counted up to $1 entries and
-- jobs; how long the oldest of the outbox has been due; whether Redis is being filled again, and since when it is full.
with first as (
  -- The oldest entry of each class holds its oldest job.
  select o.first_job as id from (values (0), (1), (2)) as k (class)
    cross join lateral (select first_job from outbox where class = k.class order by id limit 1) o
)
select
  (select coalesce(sum(size), 0) from (select size from outbox limit $1) entry)
    + (select count(*) from (
        select from refill r join job j on j.class = r.class and j.finished_at is null
          and (j.lane_id, j.id) > (r.lane_id, r.job_id) limit $1) behind) as jobs,
  (select coalesce(max(greatest(extract(epoch from now() - greatest(j.created_at, j.scheduled_at)), 0)), 0)::bigint
    from first f join job j on j.id = f.id where j.finished_at is null) as oldest_s,
  exists (select from refill) as is_refilling,
  (select to_char(full_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') from queue_epoch) as full_since
