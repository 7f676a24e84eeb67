import Testing

/// The style guide as a test: what is written in prose is forgotten, what is written here is not.
@Suite struct TidyTests {
  @Test(arguments: Rule.all)
  func theRepositoryKeepsTheRule(_ rule: Rule) throws {
    let findings = rule.report(on: try Repository.files())
    #expect(findings.isEmpty, "\(findings.count) findings\n\(findings.joined(separator: "\n"))")
  }

  @Test(arguments: Rule.all)
  func aRuleFindsWhatItForbidsAndOnlyThat(_ rule: Rule) {
    #expect(!rule.check(rule.broken).isEmpty, "the rule finds nothing in its own example")
    #expect(rule.check(rule.kept).isEmpty, "the rule finds something where nothing is")
  }

  @Test func codeIsToldFromCommentsAndLiterals() {
    let text = """
      let a = "b \\(c("d")) e" // f
      /* g /* h */ i */ j()
      let k = #"l \\" m"#; n(#/"o/#)
      """
    let file = SourceFile(path: "Sources/HTTP/A.swift", text: text)
    #expect(file.code == ["let a = \"\"c(\"\") ", " j()", "let k = \"\"; n(\"\")"])
    #expect(file.comments.map(\.trimmed) == ["f", "g  h  i", ""])
  }

  @Test func theRepositoryIsFound() throws {
    let files = try Repository.files()
    #expect(files.contains { $0.path == "Tests/TidyTests/TidyTests.swift" })
    #expect(files.contains { $0.module == "Governance" })
  }
}
