import Governance
import Metadata
import Platform
import Postgres

/// Whether and why a user may use a data source: what governors wrote, and what the target really allows.
package struct Explanation: Sendable {
  package let user: String
  package let path: SecurablePath
  package let isEnabled: Bool
  /// Nil if the user has no account on the connection.
  package let role: String?
  /// The level that the desired state comes to; nil for none.
  package let desired: AccessLevel?
  package let verdicts: [PolicyVerdict]
  package let subscription: Subscription?
  /// Policies that admit the user, but have no place within the connection's role budget: denied.
  package let unplaced: [String]
  /// What the target's catalog allows; nil if it could not be asked.
  package let target: TargetAccess?
  /// Why the target could not be asked.
  package let targetProblem: String?

  package struct TargetAccess: Sendable {
    package let roleExists: Bool
    /// Privileges in effect, with the schema's and the database's.
    package let canRead: Bool
    package let canWrite: Bool
    /// Every route, ours included.
    package let routes: [ResidualAccess]
    /// Those that Sluice does not answer for.
    package let residual: [ResidualAccess]
  }
}

package struct Explainer: Sendable {
  let metadata: MetadataDatabase
  let targets: Targets

  package init(metadata: MetadataDatabase, targets: Targets) {
    self.metadata = metadata
    self.targets = targets
  }

  private struct Desired: Sendable {
    var connection: Connection
    var securable: Securable
    var role: String?
    var level: AccessLevel?
    var verdicts: [PolicyVerdict]
    var subscription: Subscription?
    var unplaced: [String]
    /// Whether the user's own role should hold something on it.
    var isDirect: Bool
    var managed: Set<String>
  }

  package func explain(user: String, path: SecurablePath) async throws -> Explanation {
    let desired = try await metadata.read { try await read(user, path, $0) }
    var target: Explanation.TargetAccess?
    var problem: String?
    do { target = try await ask(desired) } catch let error as TargetError {
      problem = "\(error)"
    } catch let error as PostgresError {
      problem = "\(error)"
    }
    return Explanation(
      user: user, path: path, isEnabled: desired.securable.isEnabled, role: desired.role, desired: desired.level,
      verdicts: desired.verdicts, subscription: desired.subscription, unplaced: desired.unplaced, target: target,
      targetProblem: problem)
  }

  private func read(_ user: String, _ path: SecurablePath, _ metadata: MetadataSession) async throws -> Desired {
    guard path.table != nil else {
      throw MetadataError(.refused, "\(path) is not a data source: give connection/database/schema/table")
    }
    let identity = try await metadata.identity(named: user)
    let securable = try await metadata.securable(at: path)
    let connection = try await metadata.connection(named: path.connection)
    let facts = try await metadata.tableFacts(ids: [securable.id]).first
    let userFacts = UserFacts(
      id: UserID(rawValue: identity.id), name: identity.name, email: identity.email, groups: identity.groups,
      attributes: identity.attributes)
    let now = try await metadata.now()
    let verdicts =
      if let facts { PolicyVerdict.explain(userFacts, facts, policies: try await metadata.policies(), now: now) } else {
        [PolicyVerdict]()
      }
    let subscriptions = try await metadata.subscriptions(user: user, below: path)
    let placement = try await metadata.placement(of: identity.id, on: securable.id)
    return Desired(
      connection: connection, securable: securable,
      role: try await metadata.userRoles(identities: [identity.id], connection: connection.id)[identity.id],
      level: subscriptions.filter { $0.barredBy == nil }.map(\.access).max(), verdicts: verdicts,
      subscription: subscriptions.first { $0.origin == "manual" }, unplaced: placement.unplaced,
      isDirect: placement.isDirect,
      managed: Set(try await metadata.managedRoles(of: connection.id).filter { $0.kind == .audience }.map(\.role)))
  }

  private func ask(_ desired: Desired) async throws -> Explanation.TargetAccess? {
    guard let role = desired.role, let database = desired.securable.path.database else { return nil }
    let session = try await targets.open(desired.connection, database: database)
    do {
      let access = try await access(of: role, desired, in: session)
      await session.close()
      return access
    } catch {
      await session.close()
      throw error
    }
  }

  private func access(
    of role: String, _ desired: Desired, in session: PostgresConnection
  ) async throws -> Explanation.TargetAccess {
    let rows = try await session.query(
      statement(PackageResources.effective_access_sql), [.text(role), .int8(Int64(desired.securable.oid))]
    ).rows
    guard let row = rows.first else {
      return .init(roleExists: false, canRead: false, canWrite: false, routes: [], residual: [])
    }
    let oid = desired.securable.oid
    let routes = try await ResidualAccess.routes([(role, desired.securable.id, oid)], in: session)
    let observed = try await ObservedState.read(roles: [RoleName(role)], relations: [oid], in: session)
    let grantors = Set(observed.grantors.filter { $0.key.securable.oid == oid }.values)
    let others = try await metadata.read { try await $0.apartFromDesired(routes, in: desired.securable.database) }
    let residual = others.filter { route in
      switch route.route {
      // Of an audience of which the user itself is a member.
      case "membership", "view", "parent", "partition":
        route.memberOf != nil || !desired.managed.contains(route.via ?? "")
      case "grant": !desired.isDirect || route.columns != nil || !grantors.contains(route.grantor ?? "")
      default: true
      }
    }
    return .init(
      roleExists: true, canRead: try row.bool("can_read"), canWrite: try row.bool("can_write"), routes: routes,
      residual: residual)
  }
}
