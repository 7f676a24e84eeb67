/// A word of a condition's text.
struct ConditionToken: Sendable, Hashable {
  enum Kind: Sendable, Hashable {
    case string(String)
    /// Without its sign; at most 2^63, which only a minus before it makes an integer.
    case integer(UInt64)
    case identifier(String)
    /// An operator, a bracket, or one of the words `in`, `true`, `false`, `null`.
    case symbol(String)
    case end
  }
  let kind: Kind
  /// Unicode scalars before it.
  let offset: Int

  /// How an error names it.
  var name: String {
    switch kind {
    case .string: "a string"
    case .integer(let number): "\"\(number)\""
    case .identifier(let name), .symbol(let name): "\"\(name)\""
    case .end: "the end"
    }
  }

  static let keywords: Set<String> = ["in", "true", "false", "null"]
  /// Words that CEL keeps for itself: none may name a variable.
  static let reserved: Set<String> = [
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
  ]
}
