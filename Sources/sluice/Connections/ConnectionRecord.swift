import Metadata

extension Connection {
  var record: OutputRecord {
    [
      "name": .text(name), "kind": .text(kind.rawValue), "state": .text(state.rawValue),
      "state_reason": .optional(stateReason), "state_since": .text(stateSince), "host": .text(host),
      "host_address": .optional(hostAddress), "port": .count(port), "database": .text(database),
      "user": .text(username), "tls": .text(tls.rawValue), "workspace_url": .optional(workspaceURL),
      "instance": .optional(instanceName), "endpoint": .optional(endpointName),
      "sync_every": .duration(.seconds(syncEverySeconds)),
      "sweep_every": .duration(.seconds(sweepEverySeconds)), "drift": .text(driftMode.rawValue),
      "new_data_sources": .text(enablesNewDataSources ? "enabled" : "disabled"),
      "default_policy": .text(defaultPolicy), "role_budget": .count(roleBudget), "synced_at": .optional(syncedAt),
      "server_version": .optional(serverVersion.map(Int64.init)),
    ]
  }

  /// What a list shows of it.
  static let columns = [
    "name", "kind", "state", "state_reason", "state_since", "host", "port", "database", "synced_at",
  ]

  private var instanceName: String? {
    if case .named(let name) = instance { name } else { nil }
  }
  private var endpointName: String? {
    if case .endpoint(let endpoint) = instance { endpoint } else { nil }
  }
}
