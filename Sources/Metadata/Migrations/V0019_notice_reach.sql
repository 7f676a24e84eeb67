-- What else a sweep compares, and what it has told: not whether that is the same as the last time, but all that stays.
alter table sweep
  -- Differs whenever people may reach more by something else than a change of a relation; empty if that was not looked at.
  add column reach text not null default '',
  drop column told,
  -- A hash of each difference that the trail tells of already and that was there when it was last looked at.
  add column told text[] not null default '{}';
