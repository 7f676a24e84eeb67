/// Why a name, a path, a pattern or an instant was refused.
package struct GovernanceError: Error, Sendable, Hashable, CustomStringConvertible {
  package enum Code: String, Sendable { case invalidPath, invalidRoleName, invalidPattern, invalidInstant }
  package let code: Code
  /// What was wrong, where in the text, and what would be right.
  package let message: String

  package var description: String { message }
}
