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

  private struct Right: Hashable {
    let user: UserID
    let table: SecurableID
    let access: AccessLevel
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
    let (old, new) = (rights(before), rights(after))
    let names = Dictionary(uniqueKeysWithValues: users.map { ($0.id, $0.name) })
    let paths = Dictionary(
      uniqueKeysWithValues: try tables.map {
        ($0.id, try SecurablePath(parts: [$0.connection, $0.database, $0.schema, $0.name]).description)
      })
    func effect(_ right: Right, _ policies: [String], isGain: Bool) -> Effect {
      Effect(
        user: names[right.user] ?? "", path: paths[right.table] ?? "", access: right.access, isGain: isGain,
        policies: policies)
    }
    let gains = new.filter { old[$0.key] == nil }.map { effect($0.key, $0.value, isGain: true) }
    let losses = old.filter { new[$0.key] == nil }.map { effect($0.key, $0.value, isGain: false) }
    return (gains + losses).sorted { ($0.user, $0.path, $0.access.rawValue) < ($1.user, $1.path, $1.access.rawValue) }
  }

  private func rights(_ policies: [SubscriptionPolicy]) -> [Right: [String]] {
    var rights: [Right: [String]] = [:]
    for audience in Compiler(policies: policies, now: now).compile(tables: tables, users: users) {
      for user in audience.members {
        for table in audience.tables {
          rights[Right(user: user, table: table, access: audience.access), default: []] += audience.policies
        }
      }
    }
    return rights
  }
}
