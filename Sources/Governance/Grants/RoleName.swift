/// The name of a PostgreSQL role, in the target's own spelling.
package struct RoleName: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// Bytes; PostgreSQL cuts longer names off, and then they are other roles.
  package static let maximumLength = 63

  private let exact: ExactText
  package var value: String { exact.value }
  package var description: String { value }

  /// - Throws: `invalidRoleName` if it is empty, too long, holds a NUL, or is one of the names that PostgreSQL keeps
  ///   for grants to everybody (`public`) and nobody (`none`).
  package init(_ name: String) throws(GovernanceError) {
    let fault: String? =
      if name.isEmpty {
        "it is empty"
      } else if name.utf8.count > Self.maximumLength {
        "it is longer than \(Self.maximumLength) bytes"
      } else if name.utf8.contains(0) {
        "it holds a NUL character"
      } else if name == "public" || name == "none" {
        "PostgreSQL keeps that word for itself"
      } else {
        nil
      }
    if let fault {
      throw GovernanceError(code: .invalidRoleName, message: "\"\(name)\" cannot be the name of a role: \(fault)")
    }
    exact = ExactText(name)
  }

  package static func < (left: RoleName, right: RoleName) -> Bool { left.exact < right.exact }
}
