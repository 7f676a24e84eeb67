/// How what a compiled audience opens to its members is granted in a target. What a user may do does not depend on it,
/// unless it has no place.
package enum AccessForm: String, Sendable, Hashable, CaseIterable {
  /// To each member's role.
  case direct
  /// To the audience's role; a member goes on holding the grants that it held directly, until all members have joined.
  case joining
  /// To the audience's role.
  case audience
  /// Not at all: there is no role left in the budget, and direct grants would be too many. Denied, and reported.
  case unplaced

  /// Whether the audience has a role in the target.
  package var hasRole: Bool { self == .joining || self == .audience }
}

/// What bounds the choice between the two forms.
package struct FormLimits: Sendable, Hashable {
  /// Roles that audiences of the connection may have.
  package let roleBudget: Int
  /// Members, and tables, up to which a new audience may do without a role. One that has a role keeps it down to half
  /// of that, one that has none does without up to twice that: a user who comes and goes moves nothing.
  package let few = 8
  /// Users who hold something on one table directly. An access control list is rewritten as a whole by each grant, and
  /// full at 1,188 entries at the earliest (GRANTS.md, fact 1).
  package static let directGrantees = 200
  /// Subscriptions by hand to one table that may be direct where there is no role for an audience: with the audiences of
  /// policies, a hundred an access, that keeps its access control list within 500 entries.
  package static let mostDirectGrantees = 300
  /// Subscriptions by hand to one table from which on audiences that it has for them stay.
  package static let fewestSubscribers = 100
  /// Direct grants that one audience may come to: each is an entry to write, to compare and to take back.
  package let directPairs = 10_000

  package init(roleBudget: Int) { self.roleBudget = max(0, roleBudget) }

  /// Whether the subscriptions by hand to a table have audiences, one for each access.
  package static func needsAudience(subscribers: Int, hasOne: Bool) -> Bool {
    hasOne ? subscribers >= fewestSubscribers : subscribers > directGrantees
  }
}

/// Chooses the form of each audience of a connection: the same input gives the same choice, and so does the choice
/// itself as the present state.
package struct FormChoice: Sendable {
  private let audiences: [CompiledAudience]
  private let present: [AudienceKey: AccessForm]
  private let limits: FormLimits
  /// Who holds something on which table directly.
  private var grantees: [SecurableID: Set<UserID>]
  /// In the order of the audiences.
  package private(set) var forms: [AccessForm]

  /// - Parameters:
  ///   - audiences: all of a connection
  ///   - present: the forms that they, or others before them, have now
  ///   - subscribed: who holds a subscription by hand to which table directly
  package init(
    _ audiences: [CompiledAudience], present: [AudienceKey: AccessForm],
    subscribed: [SecurableID: Set<UserID>], limits: FormLimits
  ) {
    self.audiences = audiences
    self.present = present
    self.limits = limits
    grantees = subscribed
    forms = audiences.map { _ in .unplaced }
    place()
  }

  /// Those that are small hold directly; of the others, those that admit most have the roles.
  private mutating func place() {
    let small = audiences.indices.filter { isSmall(audiences[$0]) }
    // Who is direct already has its room.
    for index in small.sorted(by: { (isDirect($0) ? 0 : 1, $0) < (isDirect($1) ? 0 : 1, $1) }) { placeDirectly(index) }
    let rest = audiences.indices.filter { forms[$0] == .unplaced }.sorted { (-weight($0), $0) < (-weight($1), $1) }
    for index in rest.prefix(limits.roleBudget) { forms[index] = .audience }
    let left = Array(rest.dropFirst(limits.roleBudget))
    for index in left.filter(isDirect) + left.filter({ !isDirect($0) }) { placeDirectly(index) }
  }

  private func isDirect(_ index: Int) -> Bool { present[audiences[index].key] == .direct }

  /// Few members, few tables, and no more entries than an audience would take. What is in the other form must be better
  /// by half.
  private func isSmall(_ audience: CompiledAudience) -> Bool {
    let (members, tables) = (audience.members.count, audience.tables.count)
    let (pairs, entries) = (members * tables, members + tables)
    switch present[audience.key] {
    case .direct: return max(members, tables) <= 2 * limits.few && pairs <= 2 * entries
    case .audience, .joining: return max(members, tables) <= limits.few / 2 && 2 * pairs <= entries
    case .unplaced, nil: return max(members, tables) <= limits.few && pairs < entries
    }
  }

  /// What a role is worth: the direct grants that it saves. One that is there already is worth twice that.
  private func weight(_ index: Int) -> Int {
    let audience = audiences[index]
    let pairs = audience.members.count * audience.tables.count
    return present[audience.key]?.hasRole == true ? 2 * pairs + 1 : pairs
  }

  private mutating func placeDirectly(_ index: Int) {
    let audience = audiences[index]
    guard audience.members.count * audience.tables.count <= limits.directPairs else { return }
    let isWithin = audience.tables.allSatisfy { table in
      grantees[table, default: []].union(audience.members).count <= FormLimits.directGrantees
    }
    guard isWithin || audience.members.isEmpty else { return }
    for table in audience.tables { grantees[table, default: []].formUnion(audience.members) }
    forms[index] = .direct
  }
}
