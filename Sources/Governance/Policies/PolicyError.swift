/// Everything that is wrong with a policy document.
package struct PolicyError: Error, Sendable, Hashable, CustomStringConvertible {
  package struct Fault: Sendable, Hashable, CustomStringConvertible {
    /// The place in the document.
    package let position: TextPosition
    /// The field, for example `target.schema[1]`; empty for the document itself.
    package let path: String
    package let message: String

    package var description: String { "\(position): \(path.isEmpty ? "" : "\(path): ")\(message)" }
  }

  /// At least one, in the order of the document.
  package let faults: [Fault]

  package var description: String { faults.map(\.description).joined(separator: "\n") }
}
