import Testing

@testable import sluice

@Suite struct PolicyFilesTests {
  private static let good = """
    apiVersion: sluice/v1
    kind: SubscriptionPolicy
    name: NAME
    effect: grant
    access: read
    target: {schema: [marketing, research]}
    condition: '"analysts" in user.groups'
    """

  private static func document(_ name: String) -> String { good.replacing("NAME", with: name) }

  @Test func severalDocumentsOfAFileAreSeveralPolicies() {
    var files = PolicyFiles()
    files.add(text: "# remarks\n---\n\(Self.document("a"))\n---\n\(Self.document("b"))\n", file: "p.yaml")
    #expect(files.faults == [])
    #expect(files.policies.map(\.name) == ["a", "b"])
  }

  @Test func faultsOfAllFilesAreToldWithTheirPlaces() {
    var files = PolicyFiles()
    files.add(text: Self.document("a").replacing("access: read", with: "access: reed"), file: "one.yaml")
    files.add(
      text: Self.document("b") + "\n---\n" + Self.document("c").replacing("groups'", with: "groups &&'"),
      file: "two.yaml")
    files.add(text: "a: [\n", file: "three.yaml")
    #expect(files.faults.count == 3)
    #expect(files.faults.first?.hasPrefix("one.yaml:5:9: access: ") == true)
    #expect(files.faults.dropFirst().first?.hasPrefix("two.yaml:15:12: condition: ") == true)
    #expect(files.faults.last?.hasPrefix("three.yaml:2:") == true)
  }

  @Test func aFaultInABlockIsToldByTheLineOfTheFile() {
    let block = "condition: |\n  true &&\n    user.groups &&"
    var files = PolicyFiles()
    files.add(
      text: Self.document("a").replacing("condition: '\"analysts\" in user.groups'", with: block), file: "p.yaml")
    #expect(files.faults.count == 1)
    #expect(files.faults.first?.hasPrefix("p.yaml:9:") == true, "\(files.faults)")
  }

  @Test func aNameDefinedTwiceIsToldWithBothPlaces() {
    var files = PolicyFiles()
    files.add(text: Self.document("a"), file: "one.yaml")
    files.add(text: Self.document("a"), file: "two.yaml")
    #expect(files.faults == ["two.yaml:1: the policy \"a\" is defined at one.yaml:1 already"])
  }

  @Test func wordsThatOldYAMLTakesForBooleansStayText() {
    var files = PolicyFiles()
    files.add(text: Self.document("a").replacing("[marketing, research]", with: "[on, no, y]"), file: "p.yaml")
    #expect(files.faults == [])
    #expect(files.policies.first?.target.schema.map(\.pattern) == ["no", "on", "y"])
  }

  @Test func aDocumentThatAliasesBlowUpIsRefused() {
    var lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in 1...6 {
      let items = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      lines.append("a\(level): &a\(level) [\(items)]")
    }
    var files = PolicyFiles()
    files.add(text: lines.joined(separator: "\n"), file: "p.yaml")
    #expect(files.faults == ["p.yaml:1: the document has more than 10000 parts"])
  }
}
