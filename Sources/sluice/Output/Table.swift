/// Columns for people: a heading line, then a line a record, two spaces between, numbers to the right.
struct Table {
  let names: [String]
  let rows: [[OutputValue]]

  /// - Parameter names: the columns; those of the first record if there is one and none are given.
  init(_ records: [OutputRecord], columns names: [String]? = nil) {
    let names = names ?? records.first?.fields.map(\.name) ?? []
    self.names = names
    rows = records.map { record in names.map { record[$0] ?? .null } }
  }

  var lines: [String] {
    guard !names.isEmpty else { return [] }
    let headings = names.map { $0.uppercased().replacing("_", with: " ") }
    let cells = rows.map { $0.map(\.cell) }
    let widths = names.indices.map { column in
      max(Self.width(headings[column]), cells.map { Self.width($0[column]) }.max() ?? 0)
    }
    let right = names.indices.map { column in rows.contains { Self.isNumber($0[column]) } }
    return ([headings] + cells).map { line in
      let padded = names.indices.map { Self.pad(line[$0], to: widths[$0], right: right[$0]) }
      return Self.trimmed(padded.joined(separator: "  "))
    }
  }

  private static func isNumber(_ value: OutputValue) -> Bool {
    switch value {
    case .integer, .number: true
    default: false
    }
  }

  private static func pad(_ text: String, to width: Int, right: Bool) -> String {
    let spaces = String(repeating: " ", count: max(0, width - Self.width(text)))
    return right ? spaces + text : text + spaces
  }

  /// Columns on a terminal: emoji and East Asian wide characters take two.
  static func width(_ text: String) -> Int {
    text.reduce(0) { sum, character in
      guard let scalar = character.unicodeScalars.first, scalar.value >= 0x1100 else { return sum + 1 }
      let isWide =
        (0x1100...0x115F).contains(scalar.value) || (0x2E80...0xA4CF).contains(scalar.value)
        || (0xAC00...0xD7A3).contains(scalar.value) || (0xF900...0xFAFF).contains(scalar.value)
        || (0xFE30...0xFE6F).contains(scalar.value) || (0xFF00...0xFF60).contains(scalar.value)
        || scalar.properties.isEmojiPresentation
      return sum + (isWide ? 2 : 1)
    }
  }

  private static func trimmed(_ text: String) -> String {
    var text = text[...]
    while text.last == " " { text = text.dropLast() }
    return String(text)
  }
}
