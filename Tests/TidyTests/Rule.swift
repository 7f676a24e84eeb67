import Testing

/// Something that every file of the repository must keep to.
struct Rule: Sendable, CustomTestStringConvertible {
  struct Finding: Sendable {
    let line: Int
    let what: String

    /// - Parameter index: of the line, from 0.
    init(at index: Int, _ what: String) {
      line = index + 1
      self.what = what
    }
  }

  let name: String
  /// What to do about a finding.
  let remedy: String
  /// A file that breaks the rule, and one that looks like it and does not: the rule itself is tested with them.
  let broken: SourceFile
  let kept: SourceFile
  let check: @Sendable (SourceFile) -> [Finding]

  var testDescription: String { name }

  static let all = floorRules + sizeRules + wordRules + safetyRules + statementRules

  /// The rule over many files, as a text that says where to go.
  func report(on files: [SourceFile]) -> [String] {
    files.flatMap { file in check(file).map { "\(file.path):\($0.line): \($0.what). \(remedy)" } }
  }
}
