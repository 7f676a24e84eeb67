/// Turns policies into audiences.
///
/// A user may read or write a table if any grant policy of that level admits, and every guardrail that concerns the
/// level does too. Each grant policy has an audience of its own, and a table lists several: one for every combination
/// of policies that meet on some table would be as many roles as there are combinations.
/// Write includes read by the privileges of its audience, not by membership in the read audience.
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
    var policies: Set<String> = []
    var tables: Set<SecurableID> = []
  }

  /// Different policies may come to the same term, for some tables or for all.
  private func merge(_ tables: [TableFacts]) -> [AudienceKey: Merged] {
    var folding = PolicyFolding(policies)
    var opened: [Int: [SecurableID]] = [:]
    for table in tables {
      let matching = policies.indices.filter { policies[$0].target.matches(table) }
      for access in AccessLevel.allCases {
        for term in folding.terms(of: matching.filter { policies[$0].concerns(access) }, for: table) {
          opened[term, default: []].append(table.id)
        }
      }
    }
    var audiences: [AudienceKey: Merged] = [:]
    for (number, tables) in opened where !folding.terms[number].condition.admitsNobody {
      let term = folding.terms[number]
      let key = AudienceKey(access: term.access, condition: term.condition.canonical)
      audiences[key, default: Merged(condition: term.condition)].policies.formUnion(term.policies)
      audiences[key]?.tables.formUnion(tables)
    }
    return audiences
  }
}
