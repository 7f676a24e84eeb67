import Testing

@testable import Governance

@Suite struct ConditionParsingTests {
  @Test(arguments: [
    "true",
    #""analysts" in user.groups && user.attributes.region == "emea""#,
    #"user.attributes["cost center"] in ["a", 'b']"#,
    "!(table.name.startsWith('tmp_')) || user.email.endsWith(r'@example.org')",
    "user.groups.exists(g, table.tags.exists(t, t == g))",
    "user.name == '''it's'''  // a comment\n || user.name != \"\\u00e9\\x41\\101\\n\"",
    "-9223372036854775808 == -0x7F || 1 in [1, 2,]",
    "[] == []",
  ])
  func whatTheSubsetHoldsIsRead(_ text: String) throws {
    _ = try Condition.parse(text)
  }

  @Test(arguments: [
    ("user.name ==", "line 1, column 13: expected an expression after \"==\""),
    (#""a" in user.groups && "#, "line 1, column 23: expected an expression after \"&&\""),
    ("true &&\n  && true", "line 2, column 3: expected an expression after \"&&\", found \"&&\""),
    ("'é' == user.name x", "line 1, column 18: expected an operator or the end after \"name\", found \"x\""),
    ("(true", "line 1, column 6: expected \")\" after \"true\""),
    ("user.name = 'a'", "line 1, column 11: \"=\" has no meaning here; write \"==\""),
    ("'abc", "line 1, column 1: this string is not closed"),
    ("'\\q' == ''", "line 1, column 2: \"\\q\" is not an escape; a backslash is written \"\\\\\""),
    ("'\\ud800' == ''", "line 1, column 2: this escape is not a code point"),
    ("1 == 9223372036854775808", "line 1, column 6: this integer does not fit into 64 bits"),
    ("1 == 99999999999999999999", "line 1, column 6: this integer does not fit into 64 bits"),
    ("user.nam == 'a'", "line 1, column 6: user has name, email, groups and attributes, but no \"nam\""),
    ("group == 'a'", "line 1, column 1: \"group\" is not known here; conditions know user and table"),
    ("user.groups.exists(user, true)", "line 1, column 20: \"user\" is taken; give the variable another name"),
    ("user.name.matches('(')", "line 1, column 19: the pattern \"(\" is refused at character 2: a group is not closed"),
  ])
  func anErrorNamesItsPlaceAndCause(_ text: String, _ expected: String) {
    let error = #expect(throws: ConditionError.self) { try Condition.parse(text) }
    #expect(error?.description == expected)
  }

  @Test(arguments: [
    ("true ? true : false", "the conditional operator (?:) is"),
    ("1 + 1 == 2", "arithmetic is"),
    ("-user.name == 'a'", "arithmetic is"),
    ("1 < 2", "comparisons by order (<, <=, >, >=) are"),
    ("{'a': 1} == {}", "maps and messages are"),
    ("user.email == null", "null is"),
    ("has(user.email)", "the function \"has\" is"),
    ("user.groups.map(g, g) == []", "the method \"map\" is"),
    ("user.groups[0] == 'a'", "an index is"),
    ("1.5 == 1.5", "floating-point numbers are"),
    ("1u == 1u", "unsigned integers are"),
    ("b'a' == b'a'", "bytes literals are"),
  ])
  func whatIsOutsideTheSubsetIsRefusedByName(_ text: String, _ construct: String) {
    let error = #expect(throws: ConditionError.self) { try Condition.parse(text) }
    #expect(error?.code == .outsideSubset)
    #expect(error?.message == "\(construct) outside the subset of CEL for conditions")
  }

  @Test(arguments: [
    "user.groups == 'a'", "'a' in user.name", "1 in user.groups", "user.name && true", "!user.groups",
    "user.groups.contains('a')", "user.name.exists(c, true)", "user.attributes.level == 5", "user.attributes.level",
    "'a'", "user.groups.exists(g, g)", "['a'] == [1]", "user.attributes == 'a'", "['a', 1] == []", "user == 'a'",
  ])
  func whatCanNeverHoldByItsTypesIsRefused(_ text: String) {
    #expect(throws: ConditionError.self) { try Condition.parse(text) }
  }

  @Test func aConditionMayHaveItsFullLengthAndNotAByteMore() throws {
    let limit = ConditionLimits.authored.length
    let full = "'" + String(repeating: "a", count: limit - 7) + "'=='a'"
    #expect(full.utf8.count == limit)
    _ = try Condition.parse(full)
    #expect(throws: ConditionError.self) { try Condition.parse(full + " ") }
  }

  @Test(arguments: ["(", "!"])
  func aConditionMayBeNestedToTheLimitAndNoDeeper(_ symbol: String) throws {
    func nested(_ depth: Int) -> String {
      String(repeating: symbol, count: depth) + "true" + String(repeating: symbol == "(" ? ")" : "", count: depth)
    }
    _ = try Condition.parse(nested(ConditionLimits.authored.depth))
    let error = #expect(throws: ConditionError.self) { try Condition.parse(nested(ConditionLimits.authored.depth + 1)) }
    #expect(error?.code == .limit)
  }

  @Test func quantifiersAreNestedThreeDeepAtMost() throws {
    func nested(_ depth: Int) -> String {
      (0..<depth).map { "user.groups.exists(v\($0), " }.joined() + "true" + String(repeating: ")", count: depth)
    }
    _ = try Condition.parse(nested(3))
    #expect(throws: ConditionError.self) { try Condition.parse(nested(4)) }
  }

  @Test func aConditionTellsWhatItAsksFor() throws {
    let condition = try Condition.parse("'a' in user.groups && user.attributes.x == user.email || table.name == 'o'")
    #expect(condition.referencedGroups == ["a"])
    #expect(condition.referencedAttributes == ["x"])
    #expect(condition.references.asksForEmail && condition.references.asksForTable)
    #expect(!condition.references.asksForAnyGroup && !condition.references.asksForName)
    #expect(try Condition.parse("user.groups.exists(g, g == 'a')").references.asksForAnyGroup)
  }
}
