import Metadata
import Platform
import Testing

@Suite(.timeLimit(.minutes(2)))
struct SecretTests {
  @Test func aSecretComesBack() async throws {
    try await Fixture.run { fixture in
      #expect(
        try await fixture.read { try await $0.secret(of: fixture.connection.id, key: fixture.key) } == Secret("s3"))
      try await fixture.write {
        try await $0.replaceSecret(of: fixture.connection.id, with: Secret("new"), key: fixture.key)
      }
      #expect(
        try await fixture.read { try await $0.secret(of: fixture.connection.id, key: fixture.key) } == Secret("new"))
    }
  }

  @Test func anotherKeyOpensNothing() async throws {
    try await Fixture.run { fixture in
      await #expect(throws: SealingError.self) {
        try await fixture.read { try await $0.secret(of: fixture.connection.id, key: .random()) }
      }
    }
  }

  @Test func aSecretMovedToAnotherConnectionDoesNotOpen() async throws {
    try await Fixture.run { fixture in
      let second = try await fixture.write {
        try await $0.insert(Fixture.draft("second"), secret: Secret("other"), key: fixture.key)
      }
      try await fixture.execute(
        "update connection set sealed_secret = (select sealed_secret from connection where name = 'warehouse')")
      await #expect(throws: SealingError.self) {
        try await fixture.read { try await $0.secret(of: second.id, key: fixture.key) }
      }
    }
  }

  @Test func theSecretIsNotReadableInTheTable() async throws {
    try await Fixture.run { fixture in
      let rows = try await fixture.rows("select position('s3'::bytea in sealed_secret) as position from connection")
      #expect(try rows.map { try $0.int("position") } == [0])
    }
  }
}
