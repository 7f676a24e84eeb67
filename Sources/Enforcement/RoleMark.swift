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
    self = try Self.isMarked(row, installation) || isOld || isNoted ? .ours(oid: oid) : .foreign(oid: oid)
  }

  fileprivate static func isMarked(_ row: PostgresRow, _ installation: String) throws -> Bool {
    try row.optionalText("comment")?.hasPrefix(prefix(installation)) == true
  }

  var oid: UInt32? {
    switch self {
    case .absent: nil
    case .ours(let oid), .foreign(let oid): oid
    }
  }
}

/// What roles of the target are to Sluice.
struct RoleMarks: Sendable {
  /// By whom audiences are made, where the target has such a role.
  let policyRole: RoleName
  fileprivate(set) var marks: [RoleName: RoleMark] = [:]
  /// Those that the policy role made, and makes members of.
  fileprivate(set) var administered: Set<RoleName> = []

  subscript(_ role: RoleName) -> RoleMark { marks[role] ?? .absent }

  /// Notes roles that the policy role has made since.
  mutating func note(administered roles: Set<RoleName>) { administered.formUnion(roles) }

  var foreign: Set<RoleName> {
    Set(
      marks.compactMap { role, mark in
        if case .foreign = mark { role } else { nil }
      })
  }
}

extension TargetRoles {
  /// Roles of which finding a plan takes longer than reading them.
  private static let few = 100

  /// What each of these roles is to Sluice.
  func marks(of roles: some Collection<RoleName>) async throws -> RoleMarks {
    let installation = try await metadata.read { try await $0.installation() }
    var marks = RoleMarks(
      policyRole: try PolicyRole.name(installation: installation, connection: connection.id))
    guard !roles.isEmpty else { return marks }
    let names = roles.map(\.value)
    // Of many it is planned each time: a plan from before a transaction made them reads all comments for each.
    let (sql, parameters): (String, [PostgresValue]) = (
      statement(PackageResources.role_marks_sql), [.textArray(names), .text(marks.policyRole.value)]
    )
    let rows =
      try await names.count > Self.few
      ? session.query(sql, parameters).rows : session.queryPrepared(sql, parameters, isPlannedOnce: true).rows
    let made = try await noted(rows, installation)
    for row in rows {
      let name = try row.text("name")
      marks.marks[try RoleName(name)] = try RoleMark(row, installation: installation, made: made[name])
      if try row.bool("is_administered") { marks.administered.insert(try RoleName(name)) }
    }
    return marks
  }

  /// What is known of those that do not bear our mark.
  private func noted(_ rows: [PostgresRow], _ installation: String) async throws -> [String: ManagedRole] {
    let unmarked = try rows.filter { try !RoleMark.isMarked($0, installation) }.map { try $0.text("name") }
    guard !unmarked.isEmpty else { return [:] }
    return try await metadata.read { try await $0.madeRoles(of: connection.id, among: unmarked) }
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
