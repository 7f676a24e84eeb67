-- A worker that vanished during a job is an attempt too: who it was, under which fence, and when.
alter table job_attempt drop constraint job_attempt_outcome_check,
  add constraint job_attempt_outcome_check
    check (outcome in ('completed', 'retryable', 'snoozed', 'discarded', 'cancelled', 'stalled'));

-- A job that completes looks whether there is a dead letter of the same work, which it closes.
create index job_dead_scope on job (lane_id, kind, scope) where state = 'discarded';
