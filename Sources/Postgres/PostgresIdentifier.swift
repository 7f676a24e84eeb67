/// The name of a role, table or other thing, as it may stand in a statement: the one type that quotes names.
package struct PostgresIdentifier: Hashable, Sendable, CustomStringConvertible {
  /// PostgreSQL's NAMEDATALEN less one, in bytes. It cuts longer names off with a mere NOTICE, so that a GRANT would
  /// reach another role than the one that was meant.
  package static let maximumBytes = 63

  package let name: String

  /// Refuses (code `configuration`) empty names, names that hold a NUL, and names over 63 bytes of UTF-8.
  package init(_ name: String) throws(PostgresError) {
    if name.isEmpty { throw PostgresError(.configuration, "an identifier must not be empty") }
    if name.utf8.contains(0) { throw PostgresError(.configuration, "an identifier must not hold a NUL character") }
    if name.utf8.count > Self.maximumBytes {
      throw PostgresError(
        .configuration,
        "the identifier \"\(name)\" has \(name.utf8.count) bytes; PostgreSQL keeps \(Self.maximumBytes): shorten it")
    }
    self.name = name
  }

  /// The name in double quotes, ready to stand in a statement.
  package var quoted: String {
    // Hardly any name holds one, and to look for it character by character was 9 % of what a first apply computes.
    guard name.utf8.contains(0x22) else { return "\"\(name)\"" }
    return "\"" + name.replacing("\"", with: "\"\"") + "\""
  }

  package var description: String { quoted }
}

/// A text literal for statements that take no parameters, such as COMMENT and CREATE ROLE.
package struct PostgresLiteral: Hashable, Sendable {
  private let value: String

  /// Refuses (code `configuration`) a text that holds a NUL, which PostgreSQL cannot store.
  package init(_ value: String) throws(PostgresError) {
    if value.utf8.contains(0) { throw PostgresError(.configuration, "a text literal must not hold a NUL character") }
    self.value = value
  }

  /// The text in single quotes. With a backslash inside it is written as `E''`, which means the same whatever
  /// `standard_conforming_strings` says; the leading space keeps the E apart from what precedes it.
  package var quoted: String {
    let doubled = value.replacing("'", with: "''")
    return value.contains("\\") ? " E'" + doubled.replacing("\\", with: "\\\\") + "'" : "'" + doubled + "'"
  }
}
