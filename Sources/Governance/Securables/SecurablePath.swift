/// Where a securable stands: `connection/database/schema/table`, cut off at any level.
///
/// In its text each part is percent-encoded where it holds `/` or `%`; other percent-encoded bytes are read too.
package struct SecurablePath: Sendable, Hashable, Comparable, CustomStringConvertible {
  package enum Level: Int, Sendable, Hashable, Comparable, CaseIterable {
    case connection = 1
    case database, schema, table
    /// Only tags go this deep; it has to be asked for.
    case column

    package static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
  }

  /// Bytes of a part: PostgreSQL's longest identifier is 63 bytes; connection names may be longer.
  package static let maximumPartLength = 63
  package static let maximumConnectionLength = 128

  private let exactParts: [ExactText]

  package var parts: [String] { exactParts.map(\.value) }
  package var level: Level {
    guard let level = Level(rawValue: exactParts.count) else { preconditionFailure("a path has 1 to 5 parts") }
    return level
  }

  package var connection: String { exactParts[0].value }
  package var database: String? { part(.database) }
  package var schema: String? { part(.schema) }
  package var table: String? { part(.table) }
  package var column: String? { part(.column) }

  /// - Throws: `invalidPath` if a part is empty, too long or holds a NUL, or the count is wrong.
  package init(parts: [String], deepest: Level = .table) throws(GovernanceError) {
    guard (1...deepest.rawValue).contains(parts.count) else {
      throw Self.fault("it has \(parts.count) parts; 1 to \(deepest.rawValue) are allowed", in: parts)
    }
    for (index, part) in parts.enumerated() {
      let limit = index == 0 ? Self.maximumConnectionLength : Self.maximumPartLength
      if part.isEmpty { throw Self.fault("\(Self.place(index)) is empty", in: parts) }
      if part.utf8.count > limit { throw Self.fault("\(Self.place(index)) is longer than \(limit) bytes", in: parts) }
      if part.utf8.contains(0) { throw Self.fault("\(Self.place(index)) holds a NUL character", in: parts) }
    }
    exactParts = parts.map { ExactText($0) }
  }

  /// Reads the text form.
  ///
  /// - Throws: `invalidPath`, naming the part at fault.
  package init(_ text: String, deepest: Level = .table) throws(GovernanceError) {
    var parts: [String] = []
    for (index, encoded) in text.split(separator: "/", omittingEmptySubsequences: false).enumerated() {
      guard let part = Self.decode(encoded) else {
        let reason = "\(Self.place(index)) (\"\(encoded)\") has a \"%\" that starts no percent-encoded UTF-8; write %25"
        throw GovernanceError(code: .invalidPath, message: "the path \"\(text)\" is not valid: \(reason)")
      }
      parts.append(part)
    }
    try self.init(parts: parts, deepest: deepest)
  }

  package var description: String { exactParts.map { Self.encode($0.value) }.joined(separator: "/") }

  /// The name of a data source as people read it. Not to be parsed: a part may hold a dot.
  package var displayName: String { parts.joined(separator: ".") }

  package var parent: SecurablePath? {
    exactParts.count == 1 ? nil : SecurablePath(trusted: Array(exactParts.dropLast()))
  }

  /// Whether the other is this one or stands below it.
  package func isPrefix(of other: SecurablePath) -> Bool { other.exactParts.starts(with: exactParts) }

  package static func < (left: SecurablePath, right: SecurablePath) -> Bool {
    left.exactParts.lexicographicallyPrecedes(right.exactParts)
  }

  private init(trusted parts: [ExactText]) { exactParts = parts }

  private func part(_ level: Level) -> String? {
    exactParts.count >= level.rawValue ? exactParts[level.rawValue - 1].value : nil
  }
}

extension SecurablePath {
  private static func place(_ index: Int) -> String {
    Level(rawValue: index + 1).map { "part \(index + 1), the \($0)," } ?? "part \(index + 1)"
  }

  private static func fault(_ reason: String, in parts: [String]) -> GovernanceError {
    let text = parts.map(encode).joined(separator: "/")
    return GovernanceError(code: .invalidPath, message: "the path \"\(text)\" is not valid: \(reason)")
  }

  private static func encode(_ part: String) -> String {
    var text = ""
    for scalar in part.unicodeScalars {
      switch scalar {
      case "/": text += "%2F"
      case "%": text += "%25"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  private static func decode(_ encoded: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = encoded.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst(), let low = rest.popFirst() else { return nil }
      guard let first = Character(Unicode.Scalar(high)).hexDigitValue, high < 0x80 else { return nil }
      guard let second = Character(Unicode.Scalar(low)).hexDigitValue, low < 0x80 else { return nil }
      bytes.append(UInt8(first * 16 + second))
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
