/// A place in a text: both numbers count from 1, the column in characters as a person counts them.
package struct TextPosition: Sendable, Hashable, Comparable, CustomStringConvertible {
  package let line: Int
  package let column: Int

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  /// The place of the scalar with that offset; an offset past the end is the place after the last character.
  init(of offset: Int, in scalars: [Unicode.Scalar]) {
    var before = String.UnicodeScalarView()
    before.append(contentsOf: scalars.prefix(offset))
    var (line, column) = (1, 1)
    for character in String(before) {
      (line, column) = character.isNewline ? (line + 1, 1) : (line, column + 1)
    }
    self.init(line: line, column: column)
  }

  package var description: String { "line \(line), column \(column)" }

  package static func < (left: TextPosition, right: TextPosition) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }
}
