import Foundation

/// The columns of a result, shared by its rows.
final class PostgresColumns: Sendable {
  let names: [String]
  private let positions: [String: Int]

  init(_ names: [String]) {
    self.names = names
    positions = Dictionary(names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
  }

  func position(of name: String) -> Int? { positions[name] }
}

/// A row of a result, read by column name.
///
/// Every accessor throws code `decoding`, naming the column but not its content, if the column is missing, is null
/// where no null is expected, or does not hold what is asked for.
package struct PostgresRow: Sendable {
  private let columns: PostgresColumns
  private let values: [String?]

  init(columns: PostgresColumns, values: [String?]) {
    precondition(columns.names.count == values.count, "a row has a value for each of its columns")
    self.columns = columns
    self.values = values
  }

  package var columnNames: [String] { columns.names }

  package func text(_ column: String) throws(PostgresError) -> String { try present(optionalText(column), column) }
  package func int(_ column: String) throws(PostgresError) -> Int64 { try present(optionalInt(column), column) }
  package func bool(_ column: String) throws(PostgresError) -> Bool { try present(optionalBool(column), column) }
  package func double(_ column: String) throws(PostgresError) -> Double { try present(optionalDouble(column), column) }
  package func bytes(_ column: String) throws(PostgresError) -> [UInt8] { try present(optionalBytes(column), column) }
  /// A `timestamptz`.
  package func date(_ column: String) throws(PostgresError) -> Date { try present(optionalDate(column), column) }

  package func optionalText(_ column: String) throws(PostgresError) -> String? {
    guard let position = columns.position(of: column) else {
      throw PostgresError(.decoding, "the result has no column \"\(column)\"")
    }
    return values[position]
  }

  package func optionalInt(_ column: String) throws(PostgresError) -> Int64? {
    try convert(column, to: "an integer") { Int64($0) }
  }

  package func optionalBool(_ column: String) throws(PostgresError) -> Bool? {
    try convert(column, to: "a boolean") { ["t": true, "f": false][$0] }
  }

  package func optionalDouble(_ column: String) throws(PostgresError) -> Double? {
    try convert(column, to: "a number") { Double($0) }
  }

  package func optionalBytes(_ column: String) throws(PostgresError) -> [UInt8]? {
    try convert(column, to: "a bytea in hexadecimal", PostgresText.bytes)
  }

  package func optionalDate(_ column: String) throws(PostgresError) -> Date? {
    try convert(column, to: "a timestamptz in ISO form", PostgresText.date)
  }

  package func textArray(_ column: String) throws(PostgresError) -> [String] {
    try present(optionalTextArray(column), column)
  }

  package func intArray(_ column: String) throws(PostgresError) -> [Int64] {
    var numbers: [Int64] = []
    for element in try textArray(column) {
      guard let number = Int64(element) else { throw mismatch(column, "an array of integers") }
      numbers.append(number)
    }
    return numbers
  }

  /// A one-dimensional array without null elements.
  package func optionalTextArray(_ column: String) throws(PostgresError) -> [String]? {
    try convert(column, to: "a one-dimensional array without nulls") { text in
      guard let elements = PostgresText.array(text) else { return nil }
      let present = elements.compactMap(\.self)
      return present.count == elements.count ? present : nil
    }
  }

  private func convert<Value>(
    _ column: String, to kind: String, _ parse: (String) -> Value?
  ) throws(PostgresError) -> Value? {
    guard let text = try optionalText(column) else { return nil }
    guard let value = parse(text) else { throw mismatch(column, kind) }
    return value
  }

  private func present<Value>(_ value: Value?, _ column: String) throws(PostgresError) -> Value {
    guard let value else { throw PostgresError(.decoding, "the column \"\(column)\" is null") }
    return value
  }

  private func mismatch(_ column: String, _ kind: String) -> PostgresError {
    PostgresError(.decoding, "the column \"\(column)\" does not hold \(kind)")
  }
}
