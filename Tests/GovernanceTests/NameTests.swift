import RandomTestKit
import Testing

@testable import Governance

@Suite struct NameTests {
  @Test(arguments: ["prod", "prod/crm", "prod/crm/sales/orders", "a%2Fb/%25/ /é", "p/d/s/a.b"])
  func aPathIsWrittenAsItWasRead(_ text: String) throws {
    #expect(try SecurablePath(text).description == text)
  }

  @Test func aPathKnowsItsPartsAndItsFamily() throws {
    let path = try SecurablePath("prod/c%2Fm/sales/orders")
    #expect(path.parts == ["prod", "c/m", "sales", "orders"])
    #expect(path.displayName == "prod.c/m.sales.orders")
    #expect(path.level == .table && path.database == "c/m" && path.column == nil)
    #expect(path.parent?.description == "prod/c%2Fm/sales")
    #expect(try SecurablePath("prod").parent == nil)
    #expect(try SecurablePath("prod/c%2Fm").isPrefix(of: path))
    #expect(try !SecurablePath("prod/c").isPrefix(of: path))
    #expect(path.isPrefix(of: path))
    #expect(try SecurablePath("a/b/c/d/e", deepest: .column).column == "e")
  }

  @Test(arguments: [
    ("", "part 1, the connection, is empty"),
    ("a//b", "part 2, the database, is empty"),
    ("a/b/c/d/e", "it has 5 parts; 1 to 4 are allowed"),
    ("a/%zz", "part 2, the database, (\"%zz\") has a \"%\" that starts no percent-encoded UTF-8; write %25"),
    ("a/%2", "part 2, the database, (\"%2\") has a \"%\" that starts no percent-encoded UTF-8; write %25"),
    ("%ff", "part 1, the connection, (\"%ff\") has a \"%\" that starts no percent-encoded UTF-8; write %25"),
    ("a/b/" + String(repeating: "x", count: 64), "part 3, the schema, is longer than 63 bytes"),
    ("a/%00", "part 2, the database, holds a NUL character"),
  ])
  func aWrongPathSaysWhichPartIsWrong(_ text: String, _ reason: String) {
    let error = #expect(throws: GovernanceError.self) { try SecurablePath(text) }
    #expect(error?.message.hasSuffix("is not valid: \(reason)") == true, "\(error?.message ?? "")")
  }

  @Test func pathsAndRolesThatOnlyLookAlikeAreDifferent() throws {
    #expect(try SecurablePath("\u{E9}") != SecurablePath("e\u{301}"))
    #expect(try RoleName("\u{E9}") != RoleName("e\u{301}"))
    #expect(try Set([RoleName("\u{E9}"), RoleName("e\u{301}")]).count == 2)
  }

  @Test(arguments: ["", "public", "none", "a\0b", String(repeating: "é", count: 32)])
  func whatCannotNameARoleIsRefused(_ name: String) {
    let error = #expect(throws: GovernanceError.self) { try RoleName(name) }
    #expect(error?.code == .invalidRoleName)
  }

  @Test func aRoleNameMayHave63Bytes() throws {
    #expect(try RoleName(String(repeating: "x", count: 63)).value.utf8.count == 63)
  }

  @Test func globsMatchAsTheirDefinitionSaysInASmallUniverse() throws {
    func definition(_ glob: Substring, _ name: Substring) -> Bool {
      guard let first = glob.first else { return name.isEmpty }
      if first == "*" {
        return definition(glob.dropFirst(), name) || (!name.isEmpty && definition(glob, name.dropFirst()))
      }
      return !name.isEmpty && (first == "?" || first == name.first) && definition(glob.dropFirst(), name.dropFirst())
    }
    let names = words(over: ["a", "b"], upTo: 4)
    for pattern in words(over: ["a", "b", "*", "?"], upTo: 4) where !pattern.isEmpty {
      let glob = try Glob(pattern)
      for name in names {
        #expect(glob.matches(name) == definition(pattern[...], name[...]), "\(pattern) on \(name)")
      }
    }
  }

  private func words(over letters: [String], upTo length: Int) -> [String] {
    var words = [""]
    var last = words
    for _ in 0..<length {
      last = last.flatMap { word in letters.map { word + $0 } }
      words += last
    }
    return words
  }

  @Test(arguments: [("Orders", "orders"), ("*.x", "ax"), ("é", "e\u{301}")])
  func globsMindCaseAndCodePoints(_ pattern: String, _ name: String) throws {
    #expect(try !Glob(pattern).matches(name))
  }

  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0), ("2027-01-01T00:00:00Z", 1_798_761_600_000_000),
    ("2024-02-29T23:59:59.5+02:00", 1_709_243_999_500_000), ("1969-12-31T23:59:59.999999Z", -1),
    ("2000-03-01t00:00:00-00:30", 951_870_600_000_000),
  ])
  func instantsAreReadAsRFC3339(_ text: String, _ microseconds: Int64) throws {
    #expect(try Timestamp(text).microseconds == microseconds)
  }

  @Test(arguments: [
    "2027-01-01", "2027-01-01T00:00:00", "2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-01-01T24:00:00Z",
    "2027-01-01T00:00:00+2:00", "", "٢027-01-01T00:00:00Z",
  ])
  func whatIsNoInstantIsRefused(_ text: String) {
    let error = #expect(throws: GovernanceError.self) { try Timestamp(text) }
    #expect(error?.code == .invalidInstant)
  }

  @Test func instantsAreWrittenAsTheyAreRead() throws {
    var generator = SeededGenerator(seed: 7)
    for _ in 0..<2_000 {
      let instant = Timestamp(
        microsecondsSinceEpoch: .random(in: -5_000_000_000_000_000...50_000_000_000_000_000, using: &generator))
      #expect(try Timestamp(instant.description) == instant)
    }
    #expect(Timestamp(secondsSinceEpoch: 0).description == "1970-01-01T00:00:00Z")
  }
}
