/// A reply of the RESP2 protocol.
package enum RedisValue: Sendable, Hashable {
  case null
  case integer(Int64)
  case string([UInt8])
  case array([RedisValue])
  case status(String)
  case error(RedisServerError)

  package var isNull: Bool { self == .null }

  /// The text of a string or status reply.
  package var text: String? {
    switch self {
    case .string(let bytes): String(decoding: bytes, as: UTF8.self)
    case .status(let text): text
    default: nil
    }
  }

  /// The value of an integer reply, or of a string reply that holds a decimal integer.
  package var integer: Int64? {
    switch self {
    case .integer(let value): value
    default: text.flatMap { Int64($0) }
    }
  }

  package var array: [RedisValue]? {
    if case .array(let values) = self { values } else { nil }
  }

  /// This value, unless it is an error reply.
  package func orThrow() throws(RedisError) -> RedisValue {
    if case .error(let error) = self { throw error.asError }
    return self
  }
}

/// Readers for replies whose shape is known; another shape is a protocol violation.
extension RedisValue {
  package func requireInteger() throws(RedisError) -> Int64 {
    guard let integer = try orThrow().integer else { throw unexpected("an integer") }
    return integer
  }

  package func requireText() throws(RedisError) -> String {
    guard let text = try orThrow().text else { throw unexpected("a string") }
    return text
  }

  /// The elements of an array reply with at least `count` elements.
  package func requireArray(atLeast count: Int = 0) throws(RedisError) -> [RedisValue] {
    guard let array = try orThrow().array, array.count >= count else {
      throw unexpected("an array of \(count) or more")
    }
    return array
  }

  private func unexpected(_ wanted: String) -> RedisError {
    RedisError(.protocolViolation, "a reply has an unexpected shape: \(wanted) was expected, \(kind) came")
  }

  private var kind: String {
    switch self {
    case .null: "null"
    case .integer: "an integer"
    case .string: "a string"
    case .array(let values): "an array of \(values.count)"
    case .status: "a status"
    case .error: "an error"
    }
  }
}
