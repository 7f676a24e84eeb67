import Foundation

/// A file of the repository, taken apart so that rules about code do not stumble over comments and literals.
struct SourceFile: Sendable {
  /// From the root of the repository.
  let path: String
  let lines: [String]
  /// The lines without comments and without what stands in string literals; for Swift only, else empty.
  let code: [String]
  /// What stands in the comments of each line; for Swift only, else empty.
  let comments: [String]

  init(path: String, text: String) {
    self.path = path
    lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    (code, comments) = path.hasSuffix(".swift") ? CodeScanner.lines(of: text) : ([], [])
  }

  var isSwift: Bool { path.hasSuffix(".swift") }
  var isSource: Bool { path.hasPrefix("Sources/") }
  var components: [String] { path.split(separator: "/").map(String.init) }
  var name: String { components.last ?? path }

  /// The floor it belongs to; nil for tests.
  var module: String? { isSource && components.count > 2 ? components[1] : nil }

  /// The comments on a line and on the lines of nothing but comments or attributes right above it.
  func comment(at line: Int) -> String {
    var found = [comments[line]]
    for above in (0..<line).reversed() {
      let code = code[above].trimmed
      guard (code.isEmpty && !comments[above].isEmpty) || code.hasPrefix("@") else { break }
      found.append(comments[above])
    }
    return found.reversed().joined(separator: " ")
  }

  /// The lines whose code the pattern is found in.
  ///
  /// - Parameter words: one of these stands in every line that the pattern can be found in; looking for them first
  ///   takes a hundredth of the time.
  func linesOfCode(with pattern: Regex<some Any>, words: String...) -> [Int] {
    linesOfCode(holding: words).filter { code[$0].contains(pattern) }
  }

  /// The lines whose code one of the words stands in.
  func linesOfCode(holding words: [String]) -> [Int] { code.indices(holding: words) }
}

extension [String] {
  /// Where one of the words stands in the element.
  func indices(holding words: [String]) -> [Int] {
    // The C function: Swift's own search takes seconds for the whole repository in a debug build.
    indices.filter { index in words.contains { strstr(self[index], $0) != nil } }
  }
}

extension String {
  /// Without the blanks around it.
  var trimmed: String { trimmingCharacters(in: .whitespaces) }
}
