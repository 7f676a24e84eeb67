import Crypto
import Foundation
import Platform

extension StandIn {
  /// Somebody who may sign in to the workspace.
  package struct Identity: Sendable, Hashable {
    package enum Kind: String, Sendable, Codable {
      case user = "USER", servicePrincipal = "SERVICE_PRINCIPAL", group = "GROUP"
    }

    /// Application id of a service principal, e-mail address of a user: also the name of the database role.
    package var name: String
    package var secret: Secret
    package var kind: Kind
    /// The bootstrap gives it a role with CREATEROLE and membership in `databricks_superuser`, as Sluice needs.
    package var isPrivileged: Bool

    package init(name: String, secret: Secret, kind: Kind, isPrivileged: Bool? = nil) {
      self.name = name
      self.secret = secret
      self.kind = kind
      self.isPrivileged = isPrivileged ?? (kind == .servicePrincipal)
    }
  }

  /// Where the real PostgreSQL of an instance listens; it must trust its peers.
  package enum Upstream: Sendable, Hashable {
    case socket(directory: String, port: Int)
    case loopback(port: Int)
  }

  package struct Instance: Sendable, Hashable {
    package enum Kind: String, Sendable, Codable { case provisioned, autoscaling }

    /// Of a provisioned instance its name; of an autoscaling one `projects/P/branches/B/endpoints/E`.
    package var name: String
    package var uid: String
    package var kind: Kind
    package var upstream: Upstream
    /// The superuser of the real server, with which the stand-in itself signs in.
    package var superuser: String

    package init(
      name: String, kind: Kind = .provisioned, upstream: Upstream, uid: String? = nil, superuser: String = "cloud_admin"
    ) {
      self.name = name
      self.uid = uid ?? Self.uid(of: name)
      self.kind = kind
      self.upstream = upstream
      self.superuser = superuser
    }

    /// The name by which clients connect; it tells the gateway which instance they want.
    package var databaseHost: String {
      (kind == .provisioned ? "instance-" : "ep-") + uid + ".database.localhost"
    }

    /// The same name gives the same uid, so that a registered host stays right when the stand-in is started again.
    private static func uid(of name: String) -> String {
      let digits = SHA256.hash(data: Data(name.utf8)).prefix(16).map { String(format: "%02x", $0) }.joined()
      var parts: [Substring] = []
      var rest = Substring(digits)
      for length in [8, 4, 4, 4, 12] {
        parts.append(rest.prefix(length))
        rest = rest.dropFirst(length)
      }
      return parts.joined(separator: "-")
    }
  }

  package struct Configuration: Sendable {
    /// For certificates. The authority in it is kept when the stand-in is started again.
    package var directory: String
    package var instances: [Instance]
    package var identities: [Identity]
    /// The role that owns `databricks_postgres`.
    package var creator = "creator@example.com"
    /// 0 takes any free port.
    package var workspacePort = 0
    package var gatewayPort = 0
    package var accessTokenLifetime: Duration = .seconds(3600)
    package var credentialLifetime: Duration = .seconds(3600)
    /// Time for TLS, startup and password of a connection.
    package var loginTimeout: Duration = .seconds(15)

    package init(directory: String, instances: [Instance], identities: [Identity]) {
      self.directory = directory
      self.instances = instances
      self.identities = identities
    }
  }
}
