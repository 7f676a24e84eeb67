import Governance
import Postgres

/// Securables were renamed, moved or dropped while statements named them.
struct MovedNames: Error, CustomStringConvertible {
  let names: [String]

  var description: String {
    let others = names.count > 1 ? " and \(names.count - 1) others were" : " was"
    return "\(names.first ?? "")\(others) renamed or dropped again and again while it was granted on"
  }
}

/// The one place where GRANT, REVOKE and role statements become text: they take no parameters, so every name goes
/// through `PostgresIdentifier`.
enum GrantStatements {
  /// Names of securables, read in the same transaction, by OID.
  struct Names: Sendable {
    fileprivate var qualified: [SecurableOID: String] = [:]

    static func read(_ securables: Set<SecurableOID>, in session: PostgresConnection) async throws -> Names {
      func oids(_ families: Set<SecurableFamily>) -> PostgresValue {
        .int8Array(securables.filter { families.contains($0.family) }.map { Int64($0.oid) })
      }
      var names = Names()
      let rows = try await session.query(
        statement(PackageResources.securable_names_sql), [oids([.table, .sequence]), oids([.schema])]
      ).rows
      for row in rows {
        let oid = UInt32(truncatingIfNeeded: try row.int("oid"))
        let name = try PostgresIdentifier(try row.text("name")).quoted
        switch try row.text("family") {
        case "schema": names.qualified[SecurableOID(family: .schema, oid: oid)] = name
        case "database": names.qualified[SecurableOID(family: .database, oid: oid)] = name
        default:
          let full = try PostgresIdentifier(try row.text("schema")).quoted + "." + name
          names.qualified[SecurableOID(family: .table, oid: oid)] = full
          names.qualified[SecurableOID(family: .sequence, oid: oid)] = full
        }
      }
      return names
    }

    subscript(_ securable: SecurableOID) -> String? { qualified[securable] }

    /// After the statements and before the COMMIT: a name that has come to mean another securable since it was read
    /// may have led a statement there, and nobody would know of the entry that it made.
    ///
    /// - Throws: `MovedNames`; the transaction must not commit.
    func requireUnchanged(in session: PostgresConnection) async throws {
      guard !qualified.isEmpty else { return }
      let now = try await Self.read(Set(qualified.keys), in: session)
      let moved = qualified.filter { now[$0.key] != $0.value }.map(\.value).sorted()
      if !moved.isEmpty { throw MovedNames(names: moved) }
    }
  }

  enum Verb { case grant, revoke }

  /// One statement for a rectangle whose securables all have names.
  static func render(_ verb: Verb, _ rectangle: GrantRectangle, _ names: Names) throws -> String {
    let privileges = rectangle.privileges.map(\.keyword).joined(separator: ", ")
    let securables = rectangle.securables.compactMap { names[$0] }.joined(separator: ", ")
    let grantees = try rectangle.grantees.map { try PostgresIdentifier($0.value).quoted }.joined(separator: ", ")
    let on = "\(privileges) ON \(rectangle.family.rawValue.uppercased()) \(securables)"
    return verb == .grant ? "GRANT \(on) TO \(grantees)" : "REVOKE \(on) FROM \(grantees)"
  }

  /// Adds members to an audience. Where the server knows options, a member inherits and cannot become the audience.
  static func render(adding change: MembershipChange, serverVersion: Int) throws -> String {
    let options = serverVersion >= 160_000 ? " WITH INHERIT TRUE, SET FALSE" : ""
    return "GRANT \(try quoted(change.role)) TO \(try quoted(change.members))\(options)"
  }

  static func render(removing change: MembershipChange) throws -> String {
    "REVOKE \(try quoted(change.role)) FROM \(try quoted(change.members))"
  }

  static func createRole(_ role: RoleName) throws -> String { "CREATE ROLE \(try quoted(role)) NOLOGIN" }

  static func dropRole(_ role: RoleName) throws -> String { "DROP ROLE \(try quoted(role))" }

  static func markRole(_ role: RoleName, _ comment: String) throws -> String {
    "COMMENT ON ROLE \(try quoted(role)) IS \(try PostgresLiteral(comment).quoted)"
  }

  private static func quoted(_ role: RoleName) throws -> String { try PostgresIdentifier(role.value).quoted }

  private static func quoted(_ roles: [RoleName]) throws -> String {
    try roles.map(quoted).joined(separator: ", ")
  }
}
