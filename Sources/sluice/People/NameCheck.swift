import Governance
import Metadata

/// Names of people and roles, refused where they are given rather than by the job that needs them.
enum NameCheck {
  /// Bytes of a user's or a group's name.
  private static let longestName = 255
  /// Superusers of the platforms that Sluice works on: they can do everything, whatever is granted to them.
  private static let superusers: Set<String> = [
    "postgres", "cloud_admin", "databricks_superuser", "databricks_control_plane", "neon_superuser",
  ]

  static func requireName(_ name: String, of what: String) throws {
    guard (1...longestName).contains(name.utf8.count) else {
      throw CommandFailure.refused("the name of a \(what) has 1 to \(longestName) bytes; this has \(name.utf8.count)")
    }
  }

  /// Refuses what no user's role can be, on any connection.
  static func requireRole(_ role: String) throws {
    do throws(GovernanceError) { _ = try RoleName(role) } catch {
      throw CommandFailure.refused("\(error.message); give the name of the user's PostgreSQL role")
    }
    if role.hasPrefix("pg_") {
      throw CommandFailure.refused("\"\(role)\" is a predefined role of PostgreSQL; give the user's own role")
    }
    if superusers.contains(role) {
      throw CommandFailure.refused("\"\(role)\" is a superuser, which no policy can bind; give the user's own role")
    }
  }
}

extension MetadataSession {
  /// Refuses a role that Sluice itself logs in as or manages for an audience.
  ///
  /// - Parameter connection: where the user is to have it; everywhere if nil.
  func requireFree(_ role: String, on connection: Connection? = nil) async throws {
    try NameCheck.requireRole(role)
    let places = if let connection { [connection] } else { try await connections() }
    for place in places {
      if place.username == role {
        throw CommandFailure.refused(
          "\"\(role)\" is the role that Sluice logs in as on connection \(place.name); give the user's own role")
      }
      if try await managedRoles(of: place.id).contains(where: { $0.role == role && $0.kind == .audience }) {
        throw CommandFailure.refused(
          "\"\(role)\" is a role that Sluice made for an audience on connection \(place.name); give the user's own role"
        )
      }
    }
  }
}
