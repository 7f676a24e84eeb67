import Governance

/// What storing audiences changed: which of them, where, and whether somebody lost something.
package struct AudienceChanges: Sendable, Equatable {
  package struct Place: Sendable, Hashable {
    package let audience: Int64
    /// The database, or nil for the audience's members.
    package let database: Int64?
  }

  /// A data source whose direct grants change, by audiences without a role or on the way to one.
  package struct Table: Sendable, Hashable {
    package let securable: Int64
    package let database: Int64
  }

  /// The roles of users who are members of other audiences than before, if they are few. True where one was left.
  package var users: [String: Bool] = [:]
  /// What roles hold, and who is a member of them. True where something was taken away.
  package var places: [Place: Bool] = [:]
  /// True where something was taken away.
  package var tables: [Table: Bool] = [:]
  /// Audiences that no policy asks for any more, or that do without a role from now on, by id, with their roles.
  package var obsolete: [Int64: String] = [:]
  /// How many rows of members and data sources that took.
  package var rows = 0

  package init() {}

  /// How many users, places and tables.
  package var count: Int { users.count + places.count + tables.count }

  /// Whether anything was taken away.
  package var isLoss: Bool {
    users.values.contains(true) || places.values.contains(true) || tables.values.contains(true)
  }

  mutating func note(_ place: Place, isLoss: Bool) { places[place] = places[place, default: false] || isLoss }
}

/// What an audience was, or is, where that is not its role's grants and members alone.
struct AudienceStanding: Sendable, Equatable {
  var form: AccessForm
  var members: Set<Int64> = []
  var tables: Set<Int64> = []

  /// Whether its members may hold grants of their own through it.
  var isHeldDirectly: Bool { form == .direct || form == .joining }
}

extension AudienceChanges {
  /// Notes the way of an audience from one standing to another.
  ///
  /// A role that is given up keeps its members until it is dropped, and its grants go in the transactions that grant to
  /// the members: at no moment has one of them neither.
  ///
  /// - Parameter databases: of every table in either
  mutating func note(
    _ audience: Int64, from before: AudienceStanding?, to after: AudienceStanding, databases: [Int64: Int64]
  ) {
    guard before != after else { return }
    let before = before ?? AudienceStanding(form: .unplaced)
    let isOther = before.form != after.form
    let movesMembers = before.members != after.members
    let leavers = !before.members.isSubset(of: after.members)
    let moved = isOther || movesMembers
    let all = before.tables.union(after.tables)

    if before.isHeldDirectly || after.isHeldDirectly {
      for table in moved ? all : before.tables.symmetricDifference(after.tables) {
        guard let database = databases[table] else { continue }
        let isLoss = leavers || !after.tables.contains(table) || after.form == .unplaced
        tables[Table(securable: table, database: database)] =
          tables[Table(securable: table, database: database), default: false] || isLoss
      }
    }
    guard after.form != .direct, before.form.hasRole || after.form.hasRole else { return }
    let losesRole = !after.form.hasRole
    if moved { note(Place(audience: audience, database: nil), isLoss: losesRole || before.form.hasRole && leavers) }
    for table in isOther ? all : before.tables.symmetricDifference(after.tables) {
      guard let database = databases[table] else { continue }
      note(
        Place(audience: audience, database: database),
        isLoss: losesRole || before.form.hasRole && !after.tables.contains(table))
    }
  }
}
