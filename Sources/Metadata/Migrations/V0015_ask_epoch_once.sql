-- As before; the queue's one row is asked by itself. The planner, which has no statistics of so small a table, took it
-- for hundreds, and each insertion of jobs for expensive.
create or replace view queue_room as
select l.id as lane_id, l.parked_by,
  (select full_since is not null from queue_epoch)
    or exists (select from full_connection f where f.connection_id = l.parked_by)
    or exists (select from outbox o where o.class = 1 and o.parked_by = l.parked_by offset 10000)
    or exists (select from outbox o where o.class = 2 and o.parked_by = l.parked_by offset 10000) as is_full
from lane l;
