/// Admits users to data sources (a grant), or restricts whoever is admitted by anything (a guardrail).
package struct SubscriptionPolicy: Sendable, Hashable {
  package enum Effect: String, Sendable, Hashable, CaseIterable { case grant, guardrail }
  package enum State: String, Sendable, Hashable, CaseIterable {
    case active
    /// Compiled and shown, never enforced.
    case staged
  }

  /// Characters of a name: letters, digits, `.`, `_` and `-`.
  package static let maximumNameLength = 128

  package let name: String
  package let effect: Effect
  /// What a grant gives. A guardrail of `read` restricts reading and writing, one of `write` only writing.
  package let access: AccessLevel
  package let state: State
  package let target: PolicyTarget
  package let condition: Condition
  /// From this instant on the policy is as if it were not there. Nil: it does not expire.
  package let expires: Timestamp?

  package init(
    name: String, effect: Effect, access: AccessLevel, state: State = .active, target: PolicyTarget,
    condition: Condition, expires: Timestamp? = nil
  ) {
    self.name = name
    self.effect = effect
    self.access = access
    self.state = state
    self.target = target
    self.condition = condition
    self.expires = expires
  }

  package func isExpired(at now: Timestamp) -> Bool { expires.map { $0 <= now } ?? false }
  package func isEnforced(at now: Timestamp) -> Bool { state == .active && !isExpired(at: now) }

  /// Whether it speaks about that access: a grant of exactly it, or a guardrail of it or of what it includes.
  package func concerns(_ access: AccessLevel) -> Bool {
    effect == .grant ? self.access == access : access.includes(self.access)
  }

  /// The whole policy as a YAML document in one fixed form. A document applied again gives the same text, in whatever
  /// order its fields and alternatives stand; another spelling of the condition gives another text, which is kept.
  package var document: String {
    var lines = ["apiVersion: sluice/v1", "kind: SubscriptionPolicy", "name: \(Self.quoted(name))"]
    lines += ["effect: \(effect.rawValue)", "access: \(access.rawValue)", "state: \(state.rawValue)", "target:"]
    for (key, globs) in target.parts {
      lines.append("  \(key): [\(globs.map { Self.quoted($0.pattern) }.joined(separator: ", "))]")
    }
    lines.append("condition: \(Self.quoted(condition.source))")
    if let expires { lines.append("expires: \(expires)") }
    return lines.joined(separator: "\n") + "\n"
  }

  /// A double-quoted text; CEL and YAML escape alike as far as it is used here.
  private static func quoted(_ text: String) -> String { ConditionValue.string(text).text }
}
