/// Why a job was made; what is reported, and how the queue counts it.
package enum JobKind: String, Sendable, CaseIterable {
  case sync, subscribe, revoke, evaluate

  /// One byte for the queue, which knows jobs by little more than their number.
  package var letter: Character {
    switch self {
    case .sync: "s"
    case .subscribe: "g"
    case .revoke: "r"
    case .evaluate: "e"
    }
  }

  package init?(letter: Character) {
    guard let kind = Self.allCases.first(where: { $0.letter == letter }) else { return nil }
    self = kind
  }
}
