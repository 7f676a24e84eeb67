-- What an operator may change of connection $1.
update connection set host = $2, host_address = $3, port = $4, database = $5, username = $6, tls = $7,
  workspace_url = $8, instance_name = $9, endpoint = $10, sync_every = $11 * interval '1 second',
  new_data_sources = $12, default_policy = $13, role_budget = $14,
  sweep_every = $15 * interval '1 second', drift_mode = $16
where id = $1
