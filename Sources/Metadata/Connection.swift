import Platform

/// A registered instance, as the metadata database knows it.
package struct Connection: Sendable, Equatable {
  package enum Kind: String, Sendable { case lakebase, postgres }
  package enum State: String, Sendable { case active, inactive, unhealthy, stopped, deleting, deleted }
  /// What becomes of differences that nobody asked for: mended, as far as they are Sluice's, or only told.
  package enum DriftMode: String, Sendable, CaseIterable { case repair, observe }
  package enum TLS: String, Sendable, CaseIterable {
    case disable, require
    case verifyFull = "verify-full"
  }
  /// Which instance API knows it: a provisioned instance by name, an autoscaling endpoint by resource path.
  package enum Instance: Sendable, Hashable { case named(String), endpoint(String) }

  package var id: Int64 = 0
  package var name: String
  package var kind: Kind
  package var host: String
  /// A numeric address used instead of resolving `host`.
  package var hostAddress: String?
  package var port: Int = 5432
  package var database: String
  /// The role that Sluice logs in as.
  package var username: String
  package var tls: TLS = .verifyFull
  package var workspaceURL: String?
  package var instance: Instance?
  package var syncEverySeconds: Int64 = 3600
  /// Between two sweeps for drift; 0 for none.
  package var sweepEverySeconds: Int64 = 300
  package var driftMode = DriftMode.repair
  package var enablesNewDataSources = true
  package var defaultPolicy = "none"
  /// Roles that Sluice may have in the instance: those of audiences, and those that it makes for users.
  package var roleBudget: Int
  package var state: State = .active
  package var stateReason: String?
  /// RFC 3339, UTC.
  package var stateSince: String = ""
  package var syncedAt: String?
  package var serverVersion: Int?

  package init(name: String, kind: Kind, host: String, database: String, username: String) {
    self.name = name
    self.kind = kind
    self.host = host
    self.database = database
    self.username = username
    roleBudget = Self.defaultRoleBudget(of: kind)
  }

  /// The most that a budget of roles can be.
  package static let maximumRoleBudget = 100_000

  /// A Lakebase branch allows 500 roles, those of people and of Databricks among them (LAKEBASE.md).
  private static func defaultRoleBudget(of kind: Kind) -> Int { kind == .lakebase ? 400 : 10_000 }

  /// Words that a connection cannot be called (IMMUTA.md A1-5: they are parts of addresses there).
  package static let reservedNames: Set<String> = [
    "data", "connection", "object", "crawl", "search", "settings", "metadata", "permission", "sync", "bulk",
    "upgrade",
  ]

  /// Refuses a name that is reserved or has other characters than letters, digits, `-` and `_`.
  package static func validate(name: String) throws {
    let allowed = name.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
        || byte == 0x2d || byte == 0x5f
    }
    guard allowed, (1...63).contains(name.utf8.count) else {
      throw MetadataError(.refused, "connection name \"\(name)\": use 1 to 63 letters, digits, - and _")
    }
    if reservedNames.contains(name.lowercased()) {
      throw MetadataError(.refused, "connection name \"\(name)\" is reserved; choose another")
    }
  }
}
