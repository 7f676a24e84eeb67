-- What coalesces is asked for in whatever class: the key names none. Of two that wait the more urgent one keeps the key,
-- and the other runs once more, as it would have.
update job j set open_key = null
where open_key is not null and exists (
  select from job o
  where o.lane_id = j.lane_id and o.kind = j.kind and o.scope = j.scope and o.open_key is not null
    and (o.class, o.id) < (j.class, j.id));
update job set open_key = regexp_replace(open_key, '^(\S+) \d ', '\1 ') where open_key is not null;
