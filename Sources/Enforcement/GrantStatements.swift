import Governance
import Postgres

/// The one place where GRANT, REVOKE and role statements become text: they take no parameters, so every name goes
/// through `PostgresIdentifier`.
enum GrantStatements {
  /// Names of securables by OID, quoted and qualified, read in the transaction that uses them.
  struct Names: Sendable {
    private var qualified: [SecurableOID: String] = [:]

    mutating func add(_ securable: SecurableOID, _ name: String, in schema: String? = nil) throws(PostgresError) {
      let quoted = try PostgresIdentifier(name).quoted
      guard let schema else { return qualified[securable] = quoted }
      qualified[securable] = try PostgresIdentifier(schema).quoted + "." + quoted
    }

    mutating func merge(_ others: Names) { qualified.merge(others.qualified) { $1 } }

    subscript(_ securable: SecurableOID) -> String? { qualified[securable] }
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

  /// The statements for these grants, as far as their securables have names; revokes in the reverse order.
  static func render(_ verb: Verb, _ grants: Set<Grant>, _ names: Names) throws -> [String] {
    let statements = try GrantRectangle.rectangles(covering: grants).compactMap { rectangle in
      try rectangle.split { names[$0] != nil }.present.map { try render(verb, $0, names) }
    }
    return verb == .grant ? statements : statements.reversed()
  }

  /// Adds members to an audience. Where the server knows options, a member inherits and cannot become the audience.
  static func render(adding change: MembershipChange, serverVersion: Int) throws -> String {
    let options = serverVersion >= 160_000 ? " WITH INHERIT TRUE, SET FALSE" : ""
    return "GRANT \(try quoted(change.role)) TO \(try quoted(change.members))\(options)"
  }

  /// Removes members of an audience, and those whom they made members.
  static func render(removing change: MembershipChange) throws -> String {
    let grantor = try change.grantor.map { " GRANTED BY \(try quoted($0))" } ?? ""
    return "REVOKE \(try quoted(change.role)) FROM \(try quoted(change.members))\(grantor) CASCADE"
  }

  /// Has the statements run by another role; as they are if there is none.
  static func acting(as role: RoleName?, _ statements: [String]) throws -> [String] {
    guard let role else { return statements }
    return ["SET ROLE \(try quoted(role))"] + statements + ["RESET ROLE"]
  }

  /// Lets the login act as a role that it made, without having its privileges at other times.
  static func settable(_ role: RoleName) throws -> String {
    "GRANT \(try quoted(role)) TO CURRENT_USER WITH INHERIT FALSE, SET TRUE"
  }

  /// Makes roles that nobody logs in as, with Sluice's mark.
  ///
  /// First all of them: whether a role may be commented is answered from all memberships of who asks, and each role that
  /// is made adds one, so that they are read again (0.4 ms at a thousand, 17.10).
  static func createRoles(_ roles: [RoleName], mark: String, attributes: String? = nil) throws -> [String] {
    let mark = try PostgresLiteral(mark).quoted
    return try roles.map { "CREATE ROLE \(try quoted($0)) NOLOGIN" + (attributes.map { " \($0)" } ?? "") }
      + roles.map { "COMMENT ON ROLE \(try quoted($0)) IS \(mark)" }
  }

  /// Makes a role on Lakebase: bound to the workspace's identity, which is what makes OAuth logins possible.
  static func createLogin(_ role: RoleName) throws -> String {
    let kind = role.looksLikeServicePrincipal ? "SERVICE_PRINCIPAL" : "USER"
    return "SELECT public.databricks_create_role(\(try PostgresLiteral(role.value).quoted), '\(kind)')"
  }

  static func rename(_ role: RoleName, to name: RoleName) throws -> String {
    "ALTER ROLE \(try quoted(role)) RENAME TO \(try quoted(name))"
  }

  static func dropRoles(_ roles: [RoleName]) throws -> String { "DROP ROLE \(try quoted(roles))" }

  private static func quoted(_ role: RoleName) throws -> String { try PostgresIdentifier(role.value).quoted }

  private static func quoted(_ roles: [RoleName]) throws -> String {
    try roles.map(quoted).joined(separator: ", ")
  }
}

extension RoleName {
  /// Service principals are known by their application id, a UUID.
  fileprivate var looksLikeServicePrincipal: Bool {
    let groups = value.split(separator: "-", omittingEmptySubsequences: false)
    return groups.map(\.count) == [8, 4, 4, 4, 12]
      && value.utf8.allSatisfy { byte in
        byte == 0x2d || (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) || (0x41...0x46).contains(byte)
      }
  }
}
