import Foundation

/// A parameter of a statement, sent in PostgreSQL's binary form with its type.
package enum PostgresValue: Sendable, Equatable {
  /// A null whose type the server infers.
  case null
  case bool(Bool)
  case int4(Int32)
  case int8(Int64)
  case double(Double)
  /// Sent as `text`; other types take it with a cast, such as `$1::uuid`.
  case text(String)
  case bytea([UInt8])
  /// A JSON document, sent as `jsonb`.
  case json(String)
  /// A `timestamptz`, to the microsecond.
  case timestamp(Date)
  /// An `interval` of microseconds.
  case interval(Duration)
  case int8Array([Int64])
  case textArray([String?])
  case boolArray([Bool])

  package static func optional(_ text: String?) -> PostgresValue { text.map { .text($0) } ?? .null }
  package static func optional(_ number: Int64?) -> PostgresValue { number.map { .int8($0) } ?? .null }
  package static func optional(_ date: Date?) -> PostgresValue { date.map { .timestamp($0) } ?? .null }

  package static func int(_ number: Int) -> PostgresValue { .int8(Int64(number)) }
}

extension PostgresValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByNilLiteral
{
  package init(stringLiteral value: String) { self = .text(value) }
  package init(integerLiteral value: Int64) { self = .int8(value) }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(nilLiteral: ()) { self = .null }
}

/// The binary forms. Sources: `*_send` functions of PostgreSQL's `src/backend/utils/adt`, OIDs of `pg_type.dat`.
extension PostgresValue {
  var typeOID: UInt32 {
    switch self {
    case .null: 0
    case .bool: 16
    case .bytea: 17
    case .int8: 20
    case .int4: 23
    case .text: 25
    case .double: 701
    case .boolArray: 1000
    case .textArray: 1009
    case .int8Array: 1016
    case .timestamp: 1184
    case .interval: 1186
    case .json: 3802
    }
  }

  /// Appends the value's bytes, without a length; returns false, appending nothing, for a null.
  func append(to buffer: inout [UInt8]) -> Bool {
    switch self {
    case .null: return false
    case .bool(let value): buffer.append(value ? 1 : 0)
    case .int4(let value): buffer.appendBigEndian(value)
    case .int8(let value): buffer.appendBigEndian(value)
    case .double(let value): buffer.appendBigEndian(value.bitPattern)
    case .text(let value): buffer.append(contentsOf: value.utf8)
    case .bytea(let value): buffer.append(contentsOf: value)
    case .json(let value):
      buffer.append(1)  // The version of jsonb's binary form.
      buffer.append(contentsOf: value.utf8)
    case .timestamp(let date): buffer.appendBigEndian(Self.microsecondsSince2000(date))
    case .interval(let duration):
      buffer.appendBigEndian(Self.microseconds(duration))
      buffer.appendBigEndian(Int64(0))  // Days and months.
    case .int8Array(let values): Self.append(values.map { .int8($0) }, of: 20, to: &buffer)
    case .textArray(let values): Self.append(values.map { .optional($0) }, of: 25, to: &buffer)
    case .boolArray(let values): Self.append(values.map { .bool($0) }, of: 16, to: &buffer)
    }
    return true
  }

  /// Appends the value's length as 32 bits, -1 for a null, and its bytes.
  func appendWithLength(to buffer: inout [UInt8]) {
    let start = buffer.count
    buffer.appendBigEndian(Int32(-1))
    guard append(to: &buffer) else { return }
    let length = UInt32(buffer.count - start - 4)
    for index in 0..<4 { buffer[start + index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(index))) }
  }

  private static func append(_ elements: [PostgresValue], of elementOID: UInt32, to buffer: inout [UInt8]) {
    buffer.appendBigEndian(Int32(elements.isEmpty ? 0 : 1))
    buffer.appendBigEndian(Int32(elements.contains(.null) ? 1 : 0))
    buffer.appendBigEndian(elementOID)
    guard !elements.isEmpty else { return }
    buffer.appendBigEndian(Int32(elements.count))
    buffer.appendBigEndian(Int32(1))  // The lower bound.
    for element in elements { element.appendWithLength(to: &buffer) }
  }

  private static func microsecondsSince2000(_ date: Date) -> Int64 {
    let secondsFrom1970To2000 = 946_684_800.0
    return Int64(((date.timeIntervalSince1970 - secondsFrom1970To2000) * 1_000_000).rounded())
  }

  private static func microseconds(_ duration: Duration) -> Int64 {
    let (seconds, attoseconds) = duration.components
    return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
  }
}

extension [UInt8] {
  mutating func appendBigEndian(_ value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
  }
}
