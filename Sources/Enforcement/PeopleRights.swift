import Governance
import Metadata
import Postgres

/// What people should be able to do with data sources, through their own roles or through audiences.
struct PeopleRights: Sendable {
  private struct Rights: Hashable {
    var direct: [Int: AccessLevel] = [:]
    var audiences: [Int64: AccessLevel] = [:]
  }

  private struct Question: Hashable {
    let people: [Int]
    let audiences: [Int64: AccessLevel]
  }

  private let run: DatabaseRun
  /// Their roles. Below people are numbers: where they stand in it.
  let people: [String]
  private let numbersByRole: [String: Int]
  private var rights: [UInt32: Rights] = [:]
  private var members: [Int64: [Int]]?
  /// Data sources that are open to the same audiences have the same answer.
  private var known: [Question: [AccessLevel?: [Int]]] = [:]

  init(run: DatabaseRun, people: [String]) {
    self.run = run
    self.people = people
    numbersByRole = Dictionary(uniqueKeysWithValues: people.enumerated().map { ($1, $0) })
  }

  func numbers(_ roles: [String]) -> [Int] { roles.compactMap { numbersByRole[$0] } }

  /// Reads what should be on these relations, where that was not read yet.
  mutating func read(on relations: Set<UInt32>) async throws {
    let new = relations.filter { rights[$0] == nil }
    guard !new.isEmpty else { return }
    for oid in new { rights[oid] = Rights() }
    let (run, needsMembers) = (run, members == nil)
    let (rows, memberRows) = try await run.metadata.read { metadata in
      let rows = try await metadata.connection.query(
        statement(PackageResources.entitled_people_sql), [.int8(run.database), .int8Array(new.map(Int64.init))]
      ).rows
      guard needsMembers else { return (rows, rows) }
      let members = try await metadata.connection.query(
        "select audience_id, array_agg(member_role) as roles from desired_member where connection_id = $1 group by 1",
        [.int8(run.connection.id)]
      ).rows
      return (rows, members)
    }
    if needsMembers {
      members = Dictionary(
        uniqueKeysWithValues: try memberRows.map { (try $0.int("audience_id"), numbers(try $0.textArray("roles"))) })
    }
    for row in rows {
      guard let access = AccessLevel(rawValue: try row.text("access")) else { continue }
      let oid = UInt32(truncatingIfNeeded: try row.int("oid"))
      if let audience = try row.optionalInt("audience_id") {
        rights[oid]?.audiences.merge([audience: access], uniquingKeysWith: max)
      } else if let person = try row.optionalText("role").flatMap({ numbersByRole[$0] }) {
        rights[oid]?.direct.merge([person: access], uniquingKeysWith: max)
      }
    }
  }

  /// These people by what they should be able to do with a relation, for which that was read; nil is nothing.
  mutating func byAccess(_ people: [Int], on relation: UInt32) -> [AccessLevel?: [Int]] {
    let rights = rights[relation] ?? Rights()
    let question = Question(people: people, audiences: rights.audiences)
    if rights.direct.isEmpty, let answer = known[question] { return answer }
    var levels = rights.direct
    for (audience, access) in rights.audiences {
      for person in members?[audience] ?? [] { levels[person] = max(levels[person] ?? access, access) }
    }
    let answer = Dictionary(grouping: people) { levels[$0] }
    if rights.direct.isEmpty { known[question] = answer }
    return answer
  }
}
