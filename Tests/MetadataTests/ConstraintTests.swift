import Metadata
import Platform
import Postgres
import Testing

/// What the schema itself refuses, whatever a program does.
@Suite(.timeLimit(.minutes(2)))
struct ConstraintTests {
  private func refuses(_ state: SQLState, _ fixture: Fixture, _ sql: String) async throws {
    let error = await #expect(throws: PostgresError.self) { try await fixture.execute(sql) }
    #expect(error?.sqlState == state)
  }

  @Test func twoLivingConnectionsOfOneName() async throws {
    try await Fixture.run { fixture in
      let error = await #expect(throws: MetadataError.self) {
        try await fixture.write {
          try await $0.insert(Fixture.draft("warehouse"), secret: Secret(""), key: fixture.key)
        }
      }
      #expect(error?.code == .alreadyExists)
      _ = try await fixture.write { try await $0.insert(Fixture.draft("second"), secret: Secret(""), key: fixture.key) }
      try await refuses(.uniqueViolation, fixture, "update connection set name = 'warehouse' where name = 'second'")
    }
  }

  @Test func aLakebaseConnectionWithoutItsWorkspace() async throws {
    try await Fixture.run { fixture in
      try await refuses(.checkViolation, fixture, "update connection set kind = 'lakebase'")
    }
  }

  @Test func aRunningJobWithoutAFence() async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.submitOne()
      try await refuses(.checkViolation, fixture, "update job set state = 'running', open_key = null")
    }
  }

  @Test func aRunningJobThatStillTakesRequests() async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.submitOne()
      try await refuses(
        .checkViolation, fixture, "update job set state = 'running', fence_epoch = 1, fence_sequence = 1, worker = 'w'")
    }
  }

  @Test(arguments: ["update job set finished_at = now()", "update job set state = 'completed'"])
  func aJobThatIsFinishedOnlyInPart(sql: String) async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.submitOne()
      try await refuses(.checkViolation, fixture, sql)
    }
  }

  @Test func aChangedLineOfTheAuditTrail() async throws {
    try await Fixture.run { fixture in
      try await fixture.write { try await $0.audit(AuditEntry(actor: "a", action: "b")) }
      try await refuses(.raiseException, fixture, "update audit set actor = 'somebody else'")
    }
  }

  @Test func aRemovedLineOfTheAuditTrail() async throws {
    try await Fixture.run { fixture in
      try await fixture.write { try await $0.audit(AuditEntry(actor: "a", action: "b")) }
      try await refuses(.raiseException, fixture, "delete from audit")
    }
  }

  @Test func aRoleNameLongerThanPostgreSQLTakes() async throws {
    try await Fixture.run { fixture in
      try await refuses(
        .checkViolation, fixture,
        "insert into managed_role (connection_id, role, kind, made) select id, repeat('x', 64), 'user', true from connection"
      )
    }
  }
}
