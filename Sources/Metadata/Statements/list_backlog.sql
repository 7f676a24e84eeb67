-- Each lane with unfinished jobs, dead letters or a rule of its own, and the age of the oldest unfinished job: a look
-- into the index of unfinished jobs a lane and class, and into that of dead letters. A page of $3 lanes, by connection and number, from the one after $1 and $2.
select l.id, l.kind, c.id as connection_id, c.name as connection, d.name as database,
  case when oldest.created_at is not null then
    (extract(epoch from greatest(now() - oldest.created_at, interval '0')) * 1000)::bigint end as age_ms
from lane l
  join connection c on c.id = l.connection_id
  left join securable d on d.id = l.database_id
  cross join lateral (
    select min(j.created_at) as created_at
    from (values (0::smallint), (1), (2)) as k (class)
      cross join lateral (
        select created_at from job
        where class = k.class and lane_id = l.id and finished_at is null
        order by id limit 1) j
  ) oldest
where (c.name, l.id) > ($1, $2)
  and (oldest.created_at is not null
    or exists (select from job d where d.lane_id = l.id and d.state = 'discarded')
    or exists (select from lane_rule r where r.lane_id = l.id and (r.weight <> 1 or r.paused_at is not null)
      and c.state <> 'deleted' and d.dropped_at is null))
order by c.name, l.id limit $3
