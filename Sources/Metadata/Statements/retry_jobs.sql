-- Runs finished jobs again as if new, or merges each into the job of the same key that has not started.
-- Of several with one key the oldest runs. What is merged is cancelled and names the job that runs for it.
-- $1 job numbers, $2 open keys
with wanted as materialized (
  select j.id, j.lane_id, r.open_key, min(j.id) over (partition by j.lane_id, r.open_key) as oldest
  from unnest($1::bigint[], $2::text[]) as r (id, open_key) join job j on j.id = r.id
  where j.state in ('discarded', 'cancelled')
), joined as (
  -- A job that is claimed meanwhile has no key any more: it is not joined, because it may have read the old state.
  update job o set coalesced = o.coalesced + w.count
  from (select lane_id, open_key, oldest, count(*) from wanted group by 1, 2, 3) w
  where o.lane_id = w.lane_id and o.open_key = w.open_key
  returning w.oldest, o.id as runs_as
), revived as (
  update job j set state = 'available', open_key = w.open_key, enqueued_epoch = 0, attempt = 0, stalls = 0,
    scheduled_at = now(), started_at = null, finished_at = null, worker = null, error = null, remedy = null
  from wanted w
  where j.id = w.id and w.id = w.oldest and w.oldest not in (select oldest from joined)
  returning j.id, j.id as runs_as
), merged as (
  update job j set state = 'cancelled', remedy = null, error = 'runs again as job ' || coalesce(o.runs_as, w.oldest)
  from wanted w left join joined o on o.oldest = w.oldest
  where j.id = w.id and (w.id <> w.oldest or o.oldest is not null)
  returning j.id, coalesce(o.runs_as, w.oldest) as runs_as
)
select id, runs_as from revived union all select id, runs_as from merged order by id
