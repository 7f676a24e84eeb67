/// Separates Swift code from comments and literals. Where one of them stands, the other texts hold nothing.
///
/// It works on bytes, because the whole repository is read in every test run.
struct CodeScanner {
  private enum Context: Equatable {
    /// Code, and how many parentheses are open in it; the outermost, or that of an interpolation.
    case code(open: Int)
    /// A literal, what ends it, and what begins an interpolation in it; nothing can be escaped in a raw one.
    case literal(end: [UInt8], interpolation: [UInt8], isRaw: Bool)
    case lineComment
    case blockComment
  }

  private let bytes: [UInt8]
  private var index = 0
  private var codeBytes: [UInt8] = []
  private var commentBytes: [UInt8] = []
  private var contexts: [Context] = [.code(open: 0)]

  /// - Returns: the lines of code and the lines of comments, as many of each as the text has.
  static func lines(of text: String) -> (code: [String], comments: [String]) {
    var scanner = CodeScanner(bytes: Array(text.utf8))
    scanner.scan()
    return (lines(scanner.codeBytes), lines(scanner.commentBytes))
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private static func lines(_ bytes: [UInt8]) -> [String] {
    bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
  }

  private mutating func scan() {
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\n") {
        codeBytes.append(bytes[index])
        commentBytes.append(bytes[index])
        if contexts.last == .lineComment { contexts.removeLast() }
        index += 1
      } else {
        step()
      }
    }
  }

  private func isAt(_ word: String, offset: Int = 0) -> Bool { isAt(Array(word.utf8), offset: offset) }

  private func isAt(_ word: [UInt8], offset: Int = 0) -> Bool {
    let start = index + offset
    return start + word.count <= bytes.count && word.indices.allSatisfy { bytes[start + $0] == word[$0] }
  }

  private mutating func step() {
    switch contexts[contexts.count - 1] {
    case .code(let open): stepInCode(open)
    case .literal(let end, let interpolation, let isRaw): stepInLiteral(end, interpolation, isRaw)
    case .lineComment:
      commentBytes.append(bytes[index])
      index += 1
    case .blockComment: stepInBlockComment()
    }
  }

  private mutating func stepInBlockComment() {
    let isEnd = isAt("*/")
    if isEnd || isAt("/*") {
      if isEnd { contexts.removeLast() } else { contexts.append(.blockComment) }
      index += 2
    } else {
      commentBytes.append(bytes[index])
      index += 1
    }
  }

  private mutating func stepInCode(_ open: Int) {
    let byte = bytes[index]
    if byte == UInt8(ascii: "/"), isAt("//") || isAt("/*") {
      contexts.append(isAt("//") ? .lineComment : .blockComment)
      index += 2
    } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "#"), openLiteral() {
      codeBytes += Array("\"\"".utf8)
    } else if byte == UInt8(ascii: ")"), open == 0, contexts.count > 1 {
      contexts.removeLast()
      index += 1
    } else {
      if byte == UInt8(ascii: "(") { contexts[contexts.count - 1] = .code(open: open + 1) }
      if byte == UInt8(ascii: ")") { contexts[contexts.count - 1] = .code(open: open - 1) }
      codeBytes.append(byte)
      index += 1
    }
  }

  private mutating func openLiteral() -> Bool {
    let pounds = bytes[index...].prefix { $0 == UInt8(ascii: "#") }
    for quotes in ["\"\"\"", "\"", "/"] where isAt(quotes, offset: pounds.count) && (quotes != "/" || !pounds.isEmpty) {
      let interpolation = Array("\\".utf8) + pounds + Array("(".utf8)
      let isRaw = !pounds.isEmpty
      contexts.append(.literal(end: Array(quotes.utf8) + pounds, interpolation: interpolation, isRaw: isRaw))
      index += pounds.count + quotes.utf8.count
      return true
    }
    return false
  }

  private mutating func stepInLiteral(_ end: [UInt8], _ interpolation: [UInt8], _ isRaw: Bool) {
    if isAt(end) {
      contexts.removeLast()
      index += end.count
    } else if end.first == UInt8(ascii: "\""), isAt(interpolation) {
      contexts.append(.code(open: 0))
      index += interpolation.count
    } else {
      let isEscape = bytes[index] == UInt8(ascii: "\\") && !isRaw && !isAt("\\\n")
      index += isEscape ? 2 : 1
    }
  }
}
