import Foundation
import LakebaseStandIn
import Platform
import Postgres
import Testing

/// What the bootstrap must reproduce of a real instance (LAKEBASE.md, sections 4 and 5).
@Suite("Bootstrap", .timeLimit(.minutes(1)))
struct BootstrapTests {
  private typealias Fixture = GatewayFixture

  @Test func mayBeRunAgain() async throws {
    try await Fixture.with { fixture in
      let bootstrap = Bootstrap(fixture.instance)
      try await bootstrap.run(identities: [Fixture.worker])
      try await bootstrap.addExample()
      try await bootstrap.addExample()
      let counts = try await fixture.administer { connection in
        try await connection.query(#"SELECT count(*) AS rows FROM demo."research-data""#).rows[0].int("rows")
      }
      #expect(counts == 3)
    }
  }

  @Test func workerGrantsOnTablesOfOthersAsDatabricksSuperuser() async throws {
    try await Fixture.with { fixture in
      let user = try await fixture.addUser()
      let role = try PostgresIdentifier(user.name).quoted
      let connection = try await fixture.connect()
      let notices = try await connection.execute("GRANT SELECT ON zoo.plain TO \(role)")
      #expect(notices.isEmpty)
      let grantor = try await connection.query(
        """
        SELECT grantor::regrole::text AS grantor FROM pg_class, aclexplode(relacl)
        WHERE oid = 'zoo.plain'::regclass AND grantee = $1::regrole
        """, [.text(role)]
      ).rows.map { try $0.text("grantor") }
      #expect(grantor == ["databricks_superuser"])
      await connection.close()
    }
  }

  @Test(arguments: ["zoo.before_triggers", "zoo.option_revoked"])
  func missingGrantOptionGivesOnlyAWarning(table: String) async throws {
    try await Fixture.with { fixture in
      let user = try await fixture.addUser()
      let connection = try await fixture.connect()
      let notices = try await connection.execute(
        "GRANT SELECT ON \(table) TO \(try PostgresIdentifier(user.name).quoted)")
      #expect(notices.map(\.sqlState) == [.privilegeNotGranted])
      await connection.close()
    }
  }

  @Test func serialSequenceMayBeGrantedToo() async throws {
    try await Fixture.with { fixture in
      let user = try await fixture.addUser()
      let connection = try await fixture.connect()
      let notices = try await connection.execute(
        "GRANT USAGE ON SEQUENCE zoo.with_serial_id_seq TO \(try PostgresIdentifier(user.name).quoted)")
      #expect(notices.isEmpty)
      await connection.close()
    }
  }

  @Test func workerMayNotPassOnItsMembership() async throws {
    try await Fixture.with { fixture in
      let user = try await fixture.addUser()
      let connection = try await fixture.connect()
      let error = await refusal {
        _ = try await connection.execute(
          "GRANT databricks_superuser TO \(try PostgresIdentifier(user.name).quoted)")
      }
      #expect(error?.sqlState == .insufficientPrivilege)
      await connection.close()
    }
  }

  @Test func workerMakesRolesThatItAdministers() async throws {
    try await Fixture.with { fixture in
      let name = "made-\(UUID().uuidString.lowercased())@example.com"
      let connection = try await fixture.connect()
      _ = try await connection.query("SELECT databricks_create_role($1, 'USER')", [.text(name)])
      let row = try await connection.query(
        """
        SELECT admin_option AS admin, inherit_option AS inherit, set_option AS set, grantor::regrole::text AS grantor
        FROM pg_auth_members JOIN pg_roles AS made ON made.oid = roleid WHERE made.rolname = $1
        """, [.text(name)]
      ).rows[0]
      #expect(try row.bool("admin"))
      #expect(try !row.bool("inherit"))
      #expect(try !row.bool("set"))
      #expect(try row.text("grantor") == "cloud_admin")
      let listed = try await connection.query(
        "SELECT identity_type FROM databricks_list_roles WHERE role_name = $1", [.text(name)]
      ).rows[0]
      #expect(try listed.text("identity_type") == "USER")
      await connection.close()
    }
  }

  @Test(arguments: [
    ("owner one@example.com", "USER", "42710"), ("nobody@unknown.example", "USER", "22023"),
    ("somebody@example.com", "ROBOT", "22023"),
  ])
  func impossibleRolesAreRefused(name: String, type: String, expected: String) async throws {
    try await Fixture.with { fixture in
      let connection = try await fixture.connect()
      let error = await refusal {
        _ = try await connection.query("SELECT databricks_create_role($1, $2)", [.text(name), .text(type)])
      }
      #expect(error?.sqlState == SQLState(rawValue: expected))
      await connection.close()
    }
  }

  @Test func ordinaryUserMayNotMakeRoles() async throws {
    try await Fixture.with { fixture in
      let connection = try await fixture.connect(fixture.addUser())
      let error = await refusal {
        _ = try await connection.query("SELECT databricks_create_role('x@example.com', 'USER')")
      }
      #expect(error?.sqlState == .insufficientPrivilege)
      await connection.close()
    }
  }

  @Test func newDatabaseHasTheTriggersToo() async throws {
    try await Fixture.with { fixture in
      let name = "extra_\(UUID().uuidString.prefix(8).lowercased())"
      try await fixture.administer { _ = try await $0.execute("CREATE DATABASE \(name)") }
      let grantable = try await fixture.administer(database: name) { connection in
        _ = try await connection.execute("CREATE SCHEMA s; CREATE TABLE s.t (id int)")
        return try await connection.query(
          """
          SELECT bool_or(is_grantable) AS grantable FROM pg_class, aclexplode(relacl)
          WHERE oid = 's.t'::regclass AND grantee = 'databricks_superuser'::regrole
          """
        ).rows[0].bool("grantable")
      }
      #expect(grantable)
    }
  }
}
