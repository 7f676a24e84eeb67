/// A pattern for names: `*` stands for any text, `?` for one code point, all else for itself. It matches whole names
/// and minds case.
package struct Glob: Sendable, Hashable, CustomStringConvertible {
  /// Bytes of a pattern; matching costs at most its length times that of the name.
  package static let maximumLength = 256

  private let exact: ExactText
  private let scalars: [Unicode.Scalar]
  private let isLiteral: Bool

  package var pattern: String { exact.value }
  package var description: String { pattern }

  /// - Throws: `invalidPattern` if it is empty or longer than `maximumLength`.
  package init(_ pattern: String) throws(GovernanceError) {
    guard !pattern.isEmpty, pattern.utf8.count <= Self.maximumLength else {
      let message = "a pattern for names has 1 to \(Self.maximumLength) bytes, this one has \(pattern.utf8.count)"
      throw GovernanceError(code: .invalidPattern, message: message)
    }
    exact = ExactText(pattern)
    scalars = Array(pattern.unicodeScalars)
    isLiteral = !scalars.contains { $0 == "*" || $0 == "?" }
  }

  package func matches(_ name: String) -> Bool {
    if isLiteral { return exact == ExactText(name) }
    if pattern == "*" { return true }
    return matches(Array(name.unicodeScalars))
  }

  /// Goes back only to the last star: what an earlier one took need never be tried again.
  private func matches(_ name: [Unicode.Scalar]) -> Bool {
    var (here, there) = (0, 0)
    var star: (here: Int, there: Int)?
    while there < name.count {
      if here < scalars.count, scalars[here] == "*" {
        star = (here, there)
        here += 1
      } else if here < scalars.count, scalars[here] == "?" || scalars[here] == name[there] {
        here += 1
        there += 1
      } else if let last = star {
        star = (last.here, last.there + 1)
        (here, there) = (last.here + 1, last.there + 1)
      } else {
        return false
      }
    }
    return scalars[here...].allSatisfy { $0 == "*" }
  }

  package static func == (left: Glob, right: Glob) -> Bool { left.exact == right.exact }
  package func hash(into hasher: inout Hasher) { hasher.combine(exact) }
}
