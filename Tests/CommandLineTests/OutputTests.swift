import Foundation
import Synchronization
import Testing

@testable import sluice

@Suite struct OutputTests {
  private static let records: [OutputRecord] = [
    ["name": .text("a/b"), "since": .text("1970-01-01T00:00:00.000Z"), "lag": .duration(.milliseconds(1500))],
    ["name": .text("📊 x"), "since": .null, "lag": .duration(.seconds(60))],
  ]

  @Test func jsonIsOneDocumentWithSortedKeys() throws {
    let text = try Self.written(.json) { try $0.list(Self.records) }
    let parsed = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]]
    #expect(parsed?.count == 2)
    #expect(text.contains(#""name" : "a/b""#))
    #expect(text.contains(#""lag" : 1.5"#))
    #expect(text.contains(#""since" : "1970-01-01T00:00:00.000Z""#))
    #expect(text.contains(#""since" : null"#))
  }

  @Test func jsonHasThreeDigitsOfARate() throws {
    let text = try Self.written(.jsonl) { try $0.list([["rate": .number(2.0 / 3)]]) }
    #expect(text == "{\"rate\":0.667}\n")
  }

  @Test func jsonOfNothingIsAnEmptyList() throws {
    let text = try Self.written(.json) { try $0.list([]) }
    #expect(text == "[]\n")
  }

  @Test func jsonlIsOneObjectALine() throws {
    let text = try Self.written(.jsonl) { try $0.list(Self.records) }
    #expect(text.split(separator: "\n").count == 2)
    #expect(text.hasPrefix(#"{"lag":1.5,"name":"a/b""#))
  }

  @Test func tableColumnsAlignBesideWideCharacters() throws {
    let lines = try Self.written(.table) { try $0.list(Self.records, columns: ["name", "lag"]) }.split(separator: "\n")
    #expect(lines == ["NAME  LAG", "a/b   1.5s", "📊 x  60s"])
  }

  @Test func controlCharactersDoNotReachTheTerminal() {
    #expect(OutputValue.text("a\u{1b}[31m\nb").cell == "a·[31m·b")
  }

  @Test func nestedRecordsBecomeATableBeneath() throws {
    let item: OutputRecord = ["id": .integer(7), "attempts": .list([.record(["number": .integer(1)])])]
    let text = try Self.written(.table) { try $0.item(item) }
    #expect(text == "id  7\n\nattempts:\n  NUMBER\n       1\n")
  }

  private static func written(_ form: OutputForm, _ body: (Output) throws -> Void) throws -> String {
    let sink = Sink()
    try body(Output(form: form) { sink.append($0) })
    return sink.text
  }
}

private final class Sink: Sendable {
  private let written = Mutex("")
  var text: String { written.withLock { $0 } }
  func append(_ more: String) { written.withLock { $0 += more } }
}
