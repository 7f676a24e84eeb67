/// Why the text of a condition was refused, and where.
package struct ConditionError: Error, Sendable, Hashable, CustomStringConvertible {
  package enum Code: String, Sendable {
    /// It is not CEL.
    case syntax
    /// It is CEL, but outside the subset.
    case outsideSubset
    /// The types of an operator's or a method's operands do not fit.
    case type
    /// It is longer or deeper than allowed.
    case limit
  }
  package let code: Code
  package let position: TextPosition
  package let message: String

  package var line: Int { position.line }
  package var column: Int { position.column }
  package var description: String { "\(position): \(message)" }
}

/// How much a condition may hold.
package struct ConditionLimits: Sendable {
  /// Bytes of UTF-8.
  package let length: Int
  /// Parentheses, lists, negations and calls inside each other.
  package let depth: Int
  /// `exists` and `all` inside each other: each level multiplies the cost of an evaluation by the length of a list.
  package let quantifiers: Int

  /// What people may write.
  package static let authored = ConditionLimits(length: 16 * 1024, depth: 64, quantifiers: 3)
  /// What the compiler may make of it, by merging the conditions of many policies and putting in a table's facts.
  package static let merged = ConditionLimits(length: 16 * 1024 * 1024, depth: 80, quantifiers: 3)
}
