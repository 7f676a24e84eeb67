import Enforcement
import Foundation
import Logging
import Metadata
import Platform

/// The instances that are registered already. Two connections to one instance would each take the other's grants for
/// drift and revoke them.
struct KnownInstances {
  /// For reaching one of them.
  private static let connectTimeout: Duration = .seconds(5)
  /// Those that are asked, all at the same time, which server they are.
  private static let askedLimit = 100

  let metadata: MetadataDatabase
  let settings: Settings

  /// Refuses a draft that says in its settings that it is an instance registered under another name.
  func refuseSameDescription(as draft: Connection) async throws {
    for other in try await others(than: draft) where Self.describe(draft, other) { throw Self.refusal(draft, other) }
  }

  /// Refuses a draft whose server is the one behind another connection, though reached by another address.
  ///
  /// Only plain PostgreSQL is asked: Lakebase instances have names, and asking might wake one that sleeps.
  func refuseSameServer(as draft: Connection, secret: Secret) async throws {
    guard draft.kind == .postgres else { return }
    let candidates = try await others(than: draft).filter { $0.kind == .postgres }.prefix(Self.askedLimit)
    guard !candidates.isEmpty else { return }
    var limits = TargetLimits()
    limits.connectTimeout = Self.connectTimeout
    let targets = Targets(
      metadata: metadata, key: try settings.sealingKey(), caFile: settings[.caFile], limits: limits,
      logger: Logger(label: "sluice.targets"))
    let mine = try await targets.identity(of: draft, secret: secret)
    let same = await withTaskGroup(of: Connection?.self) { group in
      for other in candidates {
        // best effort: one that cannot be reached cannot be compared, and must not stand in the way
        group.addTask { (try? await targets.identity(of: other))?.isSame(as: mine) == true ? other : nil }
      }
      var found: Connection?
      for await other in group { found = found ?? other }
      return found
    }
    if let same { throw Self.refusal(draft, same) }
  }

  private func others(than draft: Connection) async throws -> [Connection] {
    try await metadata.read { try await $0.connections() }.filter { $0.name != draft.name }
  }

  /// Whether two connections describe one instance: by its name in the workspace, or by host and port. The database
  /// makes no difference: Sluice works in all databases of an instance.
  static func describe(_ draft: Connection, _ other: Connection) -> Bool {
    if let instance = draft.instance, instance == other.instance, workspace(draft) == workspace(other) { return true }
    guard draft.port == other.port else { return false }
    if host(draft.host) == host(other.host) { return true }
    // Gateways of Lakebase share their addresses, so these tell plain servers only.
    guard draft.kind == .postgres, other.kind == .postgres else { return false }
    return host(draft.hostAddress ?? draft.host) == host(other.hostAddress ?? other.host)
  }

  private static func workspace(_ connection: Connection) -> String {
    let url = (connection.workspaceURL ?? "").lowercased()
    guard let parts = URL(string: url), let host = parts.host else { return url }
    return "\(host):\(parts.port ?? 443)"
  }

  private static func host(_ text: String) -> String {
    let name = text.lowercased()
    return name.hasSuffix(".") ? String(name.dropLast()) : name
  }

  private static func refusal(_ draft: Connection, _ other: Connection) -> CommandFailure {
    .refused(
      "\(draft.name) is the instance that is registered as connection \(other.name) already, and one instance is "
        + "governed through one connection; change that one with: sluice connection update \(other.name)")
  }
}
