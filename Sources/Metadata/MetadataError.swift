/// Why the metadata database refused something. Trouble with the connection itself stays a `PostgresError`.
package struct MetadataError: Error, Sendable, CustomStringConvertible {
  package enum Code: Sendable {
    /// What was named does not exist.
    case notFound
    /// What should be made exists already.
    case alreadyExists
    /// The request contradicts the state of things; the message says which and what to do.
    case refused
    /// The schema is older or newer than this program.
    case wrongVersion
    /// A stored value cannot be read back: a fault of ours, or somebody changed it by hand.
    case corrupt
  }

  package let code: Code
  package let message: String

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  package var description: String { message }
}
