/// Turns policies into audiences.
///
/// A user may read or write a table if any grant policy of that level admits, and every guardrail that concerns the
/// level does too. Write includes read by the privileges of its audience, not by membership in the read audience.
package struct Compiler: Sendable {
  /// Those that count, by name.
  package let policies: [SubscriptionPolicy]

  /// - Parameter states: which policies count; with `.staged` the result shows what would be, and is not to be enforced.
  package init(
    policies: [SubscriptionPolicy], now: Timestamp, states: Set<SubscriptionPolicy.State> = [.active]
  ) {
    self.policies = policies.filter { states.contains($0.state) && !$0.isExpired(at: now) }
      .sorted { $0.name < $1.name }
  }

  /// The audiences of these tables, by key. One that could never admit anybody is left out; one that admits none of
  /// these users is not.
  package func compile(tables: [TableFacts], users: [UserFacts]) -> [CompiledAudience] {
    var population = Population(users)
    return merge(tables).map { key, merged in
      CompiledAudience(
        key: key, policies: merged.policies.sorted(), members: population.admitted(by: merged.condition),
        tables: merged.tables.sorted())
    }.sorted { $0.key < $1.key }
  }

  /// The conditions about users that every guardrail concerning that access to the table sets.
  package func guardrails(for table: TableFacts, access: AccessLevel) -> [Condition] {
    matching(table, .guardrail, access).map { $0.condition.partialEvaluation(table: table) }
  }

  /// Whether a user who is admitted by anything, a manual subscription too, may have it. Undecided is no.
  package func passesGuardrails(_ user: UserFacts, _ table: TableFacts, access: AccessLevel) -> Bool {
    matching(table, .guardrail, access).allSatisfy { $0.condition.evaluate(user: user, table: table) == .admitted }
  }

  /// Whether policies admit the user to exactly that level: the definition that `compile` is held against.
  package func admits(_ user: UserFacts, _ table: TableFacts, access: AccessLevel) -> Bool {
    matching(table, .grant, access).contains { $0.condition.evaluate(user: user, table: table) == .admitted }
      && passesGuardrails(user, table, access: access)
  }

  private func matching(
    _ table: TableFacts, _ effect: SubscriptionPolicy.Effect, _ access: AccessLevel
  ) -> [SubscriptionPolicy] {
    policies.filter { $0.effect == effect && $0.concerns(access) && $0.target.matches(table) }
  }

  private struct Merged {
    let condition: Condition
    var policies: Set<String>
    var tables: [SecurableID]
  }

  private func merge(_ tables: [TableFacts]) -> [AudienceKey: Merged] {
    var folding = PolicyFolding(policies)
    var audiences: [AudienceKey: Merged] = [:]
    for table in tables {
      let matching = policies.indices.filter { policies[$0].target.matches(table) }
      for access in AccessLevel.allCases {
        let concerned = matching.filter { policies[$0].concerns(access) }
        guard let (condition, sources) = folding.condition(of: concerned, for: table), !condition.admitsNobody
        else { continue }
        let key = AudienceKey(access: access, condition: condition.canonical)
        audiences[key, default: Merged(condition: condition, policies: [], tables: [])].tables.append(table.id)
        audiences[key]?.policies.formUnion(sources)
      }
    }
    return audiences
  }
}
