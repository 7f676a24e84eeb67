/// What makes an audience itself: tables governed by the same condition at the same level share it.
package struct AudienceKey: Sendable, Hashable, Comparable {
  package let access: AccessLevel
  /// The canonical form of a condition about users alone.
  package let condition: String

  package init(access: AccessLevel, condition: String) {
    self.access = access
    self.condition = condition
  }

  package static func < (left: AudienceKey, right: AudienceKey) -> Bool {
    (left.access, left.condition) < (right.access, right.condition)
  }
}

/// The users that satisfy one condition, and the tables that it opens to them.
package struct CompiledAudience: Sendable, Hashable {
  package let key: AudienceKey
  /// The grant policies and guardrails that it comes from, by name.
  package let policies: [String]
  /// By number.
  package let members: [UserID]
  /// By number.
  package let tables: [SecurableID]

  package var access: AccessLevel { key.access }
  package var condition: String { key.condition }
}
