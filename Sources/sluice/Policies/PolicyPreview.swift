import Governance
import Metadata

/// Who gains and who loses what by a change of policies, before it is made.
struct PolicyPreview {
  struct Effect: Sendable {
    enum Change: String, Sendable {
      case gains, loses
      /// Policies would admit the user, but their audience has no place within the connection's role budget.
      case unplaced = "does not fit"
    }

    let user: String
    let path: String
    let access: AccessLevel
    let change: Change
    let policies: [String]

    var record: OutputRecord {
      [
        "change": .text(change.rawValue), "user": .text(user), "access": .text(access.rawValue),
        "path": .text(path), "policies": .texts(policies),
      ]
    }
  }

  /// The audiences of a table, by key, and whether they have a place.
  private typealias Listed = [(audience: CompiledAudience, isPlaced: Bool)]

  private let users: [UserFacts]
  /// By the names of their connections.
  private let tables: [String: [TableFacts]]
  private let inputs: [String: FormInputs]
  private let now: Timestamp

  /// - Parameter inputs: by connection
  init(users: [UserFacts], tables: [TableFacts], inputs: [String: FormInputs], now: Timestamp) {
    self.users = users
    self.tables = Dictionary(grouping: tables, by: \.connection)
    self.inputs = inputs
    self.now = now
  }

  init(_ session: MetadataSession) async throws {
    var inputs: [String: FormInputs] = [:]
    for target in try await session.connections() { inputs[target.name] = try await session.formInputs(of: target) }
    self.init(
      users: try await session.userFacts(), tables: try await session.tableFacts(), inputs: inputs,
      now: try await session.now())
  }

  /// The differences, by user and path; staged policies have no effect.
  func effects(from before: [SubscriptionPolicy], to after: [SubscriptionPolicy]) throws -> [Effect] {
    let names = Dictionary(uniqueKeysWithValues: users.map { ($0.id, $0.name) })
    var effects: [Effect] = []
    for (connection, tables) in tables {
      let (old, new) = (audiences(before, on: connection), audiences(after, on: connection))
      for table in tables {
        let (was, becomes) = (old[table.id] ?? [], new[table.id] ?? [])
        // The same audiences have the same members: both are of these users.
        if was.elementsEqual(becomes, by: { $0.audience.key == $1.audience.key && $0.isPlaced == $1.isPlaced }) {
          continue
        }
        effects += try Self.effects(on: table, from: was, to: becomes, names)
      }
    }
    return effects.sorted { ($0.user, $0.path, $0.access.rawValue) < ($1.user, $1.path, $1.access.rawValue) }
  }

  private static func effects(
    on table: TableFacts, from before: Listed, to after: Listed, _ names: [UserID: String]
  ) throws -> [Effect] {
    let path = try SecurablePath(parts: [table.connection, table.database, table.schema, table.name]).description
    return AccessLevel.allCases.flatMap { access in
      let (old, new) = (admitted(by: before, access), admitted(by: after, access))
      let unplaced = admitted(by: after, access, placed: false)
      let changes: [(Effect.Change, [UserID: Set<String>])] = [
        (.gains, new.filter { old[$0.key] == nil }), (.loses, old.filter { new[$0.key] == nil }),
        (.unplaced, unplaced.filter { new[$0.key] == nil }),
      ]
      return changes.flatMap { change, users in
        users.map { user, policies in
          Effect(user: names[user] ?? "", path: path, access: access, change: change, policies: policies.sorted())
        }
      }
    }
  }

  private func audiences(_ policies: [SubscriptionPolicy], on connection: String) -> [SecurableID: Listed] {
    let inputs = inputs[connection] ?? FormInputs()
    let compiled = Compiler(policies: policies, now: now).compile(tables: tables[connection] ?? [], users: users)
    let choice = FormChoice(
      compiled, present: inputs.present, subscribed: inputs.subscribed, limits: inputs.limits)
    var audiences: [SecurableID: Listed] = [:]
    for (audience, form) in zip(compiled, choice.forms) {
      for table in audience.tables { audiences[table, default: []].append((audience, form != .unplaced)) }
    }
    return audiences
  }

  /// The users whom audiences of that access admit, with the policies that do.
  private static func admitted(
    by audiences: Listed, _ access: AccessLevel, placed: Bool = true
  ) -> [UserID: Set<String>] {
    var admitted: [UserID: Set<String>] = [:]
    for (audience, isPlaced) in audiences where audience.access == access && isPlaced == placed {
      for user in audience.members { admitted[user, default: []].formUnion(audience.policies) }
    }
    return admitted
  }
}
