/// Cuts the text of a condition into tokens, by the lexical rules of CEL.
struct ConditionLexer {
  let scalars: [Unicode.Scalar]
  var index = 0

  static func tokens(of scalars: [Unicode.Scalar]) throws(ConditionError) -> [ConditionToken] {
    var lexer = ConditionLexer(scalars: scalars)
    var tokens: [ConditionToken] = []
    repeat { tokens.append(try lexer.next()) } while tokens.last?.kind != .end
    return tokens
  }

  func fault(_ message: String, at offset: Int, code: ConditionError.Code = .syntax) -> ConditionError {
    ConditionError(code: code, position: TextPosition(of: offset, in: scalars), message: message)
  }

  private func outside(_ construct: String, at offset: Int) -> ConditionError {
    fault("\(construct) are outside the subset of CEL for conditions", at: offset, code: .outsideSubset)
  }

  func scalar(at offset: Int) -> Unicode.Scalar? { offset < scalars.count ? scalars[offset] : nil }

  mutating func take(while condition: (Unicode.Scalar) -> Bool) -> String {
    var text = String.UnicodeScalarView()
    while let scalar = scalar(at: index), condition(scalar) {
      text.append(scalar)
      index += 1
    }
    return String(text)
  }

  private mutating func next() throws(ConditionError) -> ConditionToken {
    skipBlanksAndComments()
    let start = index
    guard let first = scalar(at: index) else { return ConditionToken(kind: .end, offset: start) }
    let kind: ConditionToken.Kind
    if first.isWordStart {
      kind = try word()
    } else if first.isDigit {
      kind = .integer(try number())
    } else if first == "\"" || first == "'" {
      kind = .string(try string(isRaw: false))
    } else {
      kind = .symbol(try symbol())
    }
    return ConditionToken(kind: kind, offset: start)
  }

  private mutating func skipBlanksAndComments() {
    while let scalar = scalar(at: index) {
      if ["\t", "\n", "\u{0C}", "\r", " "].contains(scalar) {
        index += 1
      } else if scalar == "/", self.scalar(at: index + 1) == "/" {
        _ = take { $0 != "\n" }
      } else {
        return
      }
    }
  }

  private mutating func word() throws(ConditionError) -> ConditionToken.Kind {
    let start = index
    let word = take { $0.isWordStart || $0.isDigit }
    if let quote = scalar(at: index), quote == "\"" || quote == "'" {
      switch word {
      case "r", "R": return .string(try string(isRaw: true))
      case "b", "B", "br", "bR", "Br", "BR", "rb", "rB", "Rb", "RB":
        throw outside("bytes literals", at: start)
      default: break
      }
    }
    return ConditionToken.keywords.contains(word) ? .symbol(word) : .identifier(word)
  }

  private mutating func number() throws(ConditionError) -> UInt64 {
    let start = index
    let isHexadecimal = scalar(at: index) == "0" && ["x", "X"].contains(scalar(at: index + 1))
    if isHexadecimal { index += 2 }
    let digits = take { isHexadecimal ? $0.isHexadecimalDigit : $0.isDigit }
    let isDecimalFraction = scalar(at: index) == "." && scalar(at: index + 1)?.isDigit == true
    if isDecimalFraction || (!isHexadecimal && ["e", "E"].contains(scalar(at: index))) {
      throw outside("floating-point numbers", at: start)
    }
    if ["u", "U"].contains(scalar(at: index)) {
      throw outside("unsigned integers", at: start)
    }
    guard scalar(at: index)?.isWordStart != true, !digits.isEmpty else {
      throw fault("this is not a number", at: start)
    }
    guard let number = UInt64(digits, radix: isHexadecimal ? 16 : 10), number <= 1 << 63 else {
      throw fault("this integer does not fit into 64 bits", at: start)
    }
    return number
  }

  private mutating func symbol() throws(ConditionError) -> String {
    for symbol in Self.symbols where scalars[index...].starts(with: symbol.unicodeScalars) {
      index += symbol.unicodeScalars.count
      return symbol
    }
    let found = String(scalars[index])
    let advice = ["&": "; write \"&&\"", "|": "; write \"||\"", "=": "; write \"==\""][found] ?? ""
    throw fault("\"\(found)\" has no meaning here\(advice)", at: index)
  }

  /// The longer ones first. Those outside the subset are read too, so that they can be refused by name.
  private static let symbols = [
    "&&", "||", "==", "!=", "<=", ">=", "!", "<", ">", "(", ")", "[", "]", "{", "}", ",", ".", "-", "+", "*", "/",
    "%", "?", ":",
  ]
}

extension Unicode.Scalar {
  var isDigit: Bool { ("0"..."9").contains(self) }
  var isHexadecimalDigit: Bool { isDigit || ("a"..."f").contains(self) || ("A"..."F").contains(self) }
  var isWordStart: Bool { ("a"..."z").contains(self) || ("A"..."Z").contains(self) || self == "_" }
}
