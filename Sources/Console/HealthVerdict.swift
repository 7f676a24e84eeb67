/// What a process says about itself: fine, or why not.
package struct HealthVerdict: Sendable, Equatable {
  /// Why not, one short sentence each; empty when all is well.
  package let reasons: [String]

  package init(reasons: [String]) { self.reasons = reasons }

  package static let fine = HealthVerdict(reasons: [])
  package var isFine: Bool { reasons.isEmpty }
}
