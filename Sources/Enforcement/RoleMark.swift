import Governance
import Metadata
import Postgres

/// What a role of the target is to this installation.
enum RoleMark: Sendable, Hashable {
  case absent
  /// Sluice made it: its comment says so, or it has the OID that was noted then.
  case ours(oid: UInt32)
  /// Somebody else's, whatever its name: never altered, its members neither.
  case foreign(oid: UInt32)

  /// The comment on roles that Sluice makes. Where the platform keeps something of its own there, there is the OID.
  static func text(_ kind: ManagedRole.Kind, installation: String) -> String {
    "\(prefix(installation))\(kind.rawValue)"
  }

  /// What roles were marked with before the mark told of installations.
  private static let oldText = "made by Sluice"

  private static func prefix(_ installation: String) -> String { "sluice \(installation) " }

  fileprivate init(_ row: PostgresRow, installation: String, made: ManagedRole?) throws {
    let oid = UInt32(truncatingIfNeeded: try row.int("oid"))
    let comment = try row.optionalText("comment") ?? ""
    let isOld = comment == Self.oldText && made?.made == true && made?.oid == nil
    let isNoted = made?.made == true && made?.oid == oid
    self = comment.hasPrefix(Self.prefix(installation)) || isOld || isNoted ? .ours(oid: oid) : .foreign(oid: oid)
  }

  var oid: UInt32? {
    switch self {
    case .absent: nil
    case .ours(let oid), .foreign(let oid): oid
    }
  }
}

extension TargetRoles {
  /// What each of these roles is to Sluice.
  func marks(of roles: some Collection<RoleName>) async throws -> [RoleName: RoleMark] {
    guard !roles.isEmpty else { return [:] }
    let names = roles.map(\.value)
    let rows = try await session.query(statement(PackageResources.role_marks_sql), [.textArray(names)]).rows
    var marks = Dictionary(roles.map { ($0, RoleMark.absent) }, uniquingKeysWith: { first, _ in first })
    guard !rows.isEmpty else { return marks }
    let (installation, made) = try await metadata.read {
      (try await $0.installation(), try await $0.madeRoles(of: connection.id, among: names))
    }
    for row in rows {
      let name = try row.text("name")
      marks[try RoleName(name)] = try RoleMark(row, installation: installation, made: made[name])
    }
    return marks
  }

  /// Those of the roles that are somebody else's.
  func foreign(among roles: some Collection<RoleName>) async throws -> Set<RoleName> {
    Set(
      try await marks(of: roles).compactMap { role, mark in
        if case .foreign = mark { role } else { nil }
      })
  }
}

extension Failure {
  /// An audience's name is taken.
  static func foreign(_ role: RoleName) -> Failure {
    Failure(
      .permanent, "role \"\(role)\" exists and is not Sluice's",
      remedy: "see whose it is; drop or rename it, then retry the job")
  }
}
