import Testing

@testable import Governance

@Suite struct TextPatternTests {
  @Test(arguments: [
    ("b", "abc", true), ("^b", "abc", false), ("^abc$", "abc", true), ("^a.c$", "a\nc", false), ("", "", true),
    ("a|b", "xbx", true), ("^(a|bc)*$", "abcbca", true), ("^(a|bc)*$", "abb", false), ("^a{2,3}$", "aaaa", false),
    ("^a{2,3}$", "aaa", true), ("^a{2}$", "aaa", false), ("^a{2,}$", "aaaaa", true), ("^a+?b??$", "aab", true),
    ("a{,2}", "a{,2}", true), ("^[a-c]+$", "abc", true), ("^[^a-c]+$", "xyz", true), ("^[^a-c]+$", "xaz", false),
    ("^[]a]+$", "]a", true), ("^[a-]+$", "-a", true), (#"^[\d.]+$"#, "1.2", true), (#"^[\D]+$"#, "1", false),
    (#"^\w+\s\S+$"#, "ab cd", true), (#"^\x41\x{e9}$"#, "Aé", true), (#"\bcat\b"#, "a cat!", true),
    (#"\bcat\b"#, "concat", false), (#"\Bcat"#, "concat", true), (#"^\.$"#, "x", false), (#"\Aa\z"#, "a", true),
    ("^(?:ab)?$", "", true), ("^.$", "é", true), ("^.$", "e\u{301}", false), ("^(|a)+$", "aaa", true),
    ("^(a*)*$", "aaab", false), ("a$b", "a$b", false), (#"^\D+$"#, "ab", true), (#"^[\W_]+$"#, "_-", true),
  ])
  func itFindsWhatRE2Finds(_ pattern: String, _ text: String, _ isFound: Bool) throws {
    #expect(try TextPattern(pattern).isFound(in: text) == isFound)
  }

  @Test(arguments: [
    "(", ")", "[a", "*", "a**", "a{3,2}", "a{1001}", "(?i)a", "(?=a)", #"\1"#, #"\pL"#, "[[:alpha:]]", "[b-a]", "\\",
    #"\x4"#, #"\Qa"#, "(a{1000}){1000}",
  ])
  func whatItDoesNotKnowIsRefused(_ pattern: String) {
    let error = #expect(throws: GovernanceError.self) { try TextPattern(pattern) }
    #expect(error?.code == .invalidPattern)
  }

  @Test(.timeLimit(.minutes(1)))
  func aPatternThatMakesBacktrackersHangIsAnsweredInLinearTime() throws {
    let text = String(repeating: "a", count: 2_000)
    #expect(try !TextPattern("^(a+)+(a|aa)*$x").isFound(in: text))
    #expect(try !TextPattern("^(a*)*b$").isFound(in: text))
  }
}
