-- Registers a connection; its id is drawn before, because the sealed secret is bound to it.
insert into connection (id, name, kind, host, host_address, port, database, username, tls, workspace_url,
  instance_name, endpoint, sealed_secret, sync_every, new_data_sources, default_policy, server_version,
  role_budget, sweep_every, drift_mode)
overriding system value
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 * interval '1 second', $15, $16, $17, $18,
  $19 * interval '1 second', $20)
