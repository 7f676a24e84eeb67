-- Finished jobs and dead letters are kept for different times: each are found by an index that the others are not in.
drop index job_finished;
create index job_ended on job (finished_at) where finished_at is not null and state <> 'discarded';
create index job_dead_since on job (finished_at) where state = 'discarded';
