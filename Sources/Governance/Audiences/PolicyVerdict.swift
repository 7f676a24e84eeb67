/// What one policy says about one user and one table.
package struct PolicyVerdict: Sendable, Hashable {
  package let policy: String
  package let effect: SubscriptionPolicy.Effect
  package let access: AccessLevel
  package let state: SubscriptionPolicy.State
  package let isExpired: Bool
  package let outcome: Condition.Outcome

  /// Whether it counts now.
  package var isEnforced: Bool { state == .active && !isExpired }

  /// The verdicts of all policies whose target is that table, staged and expired ones too, by name.
  package static func explain(
    _ user: UserFacts, _ table: TableFacts, policies: [SubscriptionPolicy], now: Timestamp
  ) -> [PolicyVerdict] {
    policies.filter { $0.target.matches(table) }.sorted { $0.name < $1.name }.map { policy in
      PolicyVerdict(
        policy: policy.name, effect: policy.effect, access: policy.access, state: policy.state,
        isExpired: policy.isExpired(at: now), outcome: policy.condition.evaluate(user: user, table: table))
    }
  }
}
