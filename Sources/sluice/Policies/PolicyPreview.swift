import Governance
import Metadata

/// Who gains and who loses what by a change of policies, before it is made.
struct PolicyPreview {
  struct Effect: Sendable {
    let user: String
    let path: String
    let access: AccessLevel
    let isGain: Bool
    let policies: [String]

    var record: OutputRecord {
      [
        "change": .text(isGain ? "gains" : "loses"), "user": .text(user), "access": .text(access.rawValue),
        "path": .text(path), "policies": .texts(policies),
      ]
    }
  }

  private let users: [UserFacts]
  private let tables: [TableFacts]
  private let now: Timestamp

  init(_ session: MetadataSession) async throws {
    users = try await session.userFacts()
    tables = try await session.tableFacts()
    now = try await session.now()
  }

  /// The differences, by user and path; staged policies have no effect.
  func effects(from before: [SubscriptionPolicy], to after: [SubscriptionPolicy]) throws -> [Effect] {
    let (old, new) = (audiences(before), audiences(after))
    let names = Dictionary(uniqueKeysWithValues: users.map { ($0.id, $0.name) })
    var effects: [Effect] = []
    for table in tables {
      let (was, becomes) = (old[table.id] ?? [], new[table.id] ?? [])
      // The same audiences have the same members: both are of these users.
      if was.map(\.key) == becomes.map(\.key) { continue }
      let path = try SecurablePath(parts: [table.connection, table.database, table.schema, table.name]).description
      for access in AccessLevel.allCases {
        let (losing, gaining) = (Self.admitted(by: was, access), Self.admitted(by: becomes, access))
        func change(_ from: [UserID: Set<String>], _ to: [UserID: Set<String>], isGain: Bool) {
          effects += to.filter { from[$0.key] == nil }.map { user, policies in
            Effect(
              user: names[user] ?? "", path: path, access: access, isGain: isGain, policies: policies.sorted())
          }
        }
        change(losing, gaining, isGain: true)
        change(gaining, losing, isGain: false)
      }
    }
    return effects.sorted { ($0.user, $0.path, $0.access.rawValue) < ($1.user, $1.path, $1.access.rawValue) }
  }

  /// The audiences of each table, by key.
  private func audiences(_ policies: [SubscriptionPolicy]) -> [SecurableID: [CompiledAudience]] {
    var audiences: [SecurableID: [CompiledAudience]] = [:]
    for audience in Compiler(policies: policies, now: now).compile(tables: tables, users: users) {
      for table in audience.tables { audiences[table, default: []].append(audience) }
    }
    return audiences
  }

  /// The users whom audiences of that access admit, with the policies that do.
  private static func admitted(by audiences: [CompiledAudience], _ access: AccessLevel) -> [UserID: Set<String>] {
    var admitted: [UserID: Set<String>] = [:]
    for audience in audiences where audience.access == access {
      for user in audience.members { admitted[user, default: []].formUnion(audience.policies) }
    }
    return admitted
  }
}
