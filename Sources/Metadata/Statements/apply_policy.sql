-- Stores a policy under its name, or replaces what stands there.
insert into policy (name, effect, access, state, target, condition, document, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8::timestamptz)
on conflict (name) do update set effect = excluded.effect, access = excluded.access, state = excluded.state,
  target = excluded.target, condition = excluded.condition, document = excluded.document,
  expires_at = excluded.expires_at, expired = false, applied_at = now()
