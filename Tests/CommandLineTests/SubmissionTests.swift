import Foundation
import Testing

@testable import sluice

@Suite struct SubmissionLineTests {
  @Test(arguments: [
    #"{"kind":"sync","path":"prod"}"#, #"{"kind":"sync","path":"prod/db/s/t"}"#,
    #"{"kind":"subscribe","user":"ana","path":"prod/db/s/t"}"#,
    #"{"kind":"subscribe","user":"ana","path":"prod/db/s/t","access":"write","expires":"2999-01-01T00:00:00Z"}"#,
    #"{"kind":"revoke","user":"ana","path":"prod/db/s/t","access":null}"#,
    #"{"kind":"revoke","user":"ana","path":"prod/db/s/t","terminate_sessions":true}"#,
    #"{"kind":"subscribe","user":"Zoë \"📊\"","path":"prod/db/a%2Fb/t"}"#,
  ])
  func accepts(line: String) throws { _ = try SubmissionLine(json: Data(line.utf8)) }

  @Test(arguments: [
    ("", "not JSON"), ("[]", "not a JSON object"), ("{}", "\"kind\" is missing"),
    (#"{"kind":"drop","path":"prod"}"#, "\"drop\" is not a kind"), (#"{"kind":"sync"}"#, "\"path\" is missing"),
    (#"{"kind":"sync","path":"prod","user":"ana"}"#, "no \"user\""),
    (#"{"kind":"subscribe","path":"prod/db/s/t"}"#, "\"user\" is missing"),
    (#"{"kind":"subscribe","user":"ana","path":"prod/db"}"#, "not a data source"),
    (#"{"kind":"subscribe","user":"ana","path":"prod//s/t"}"#, "is empty"),
    (#"{"kind":"subscribe","user":"ana","path":"prod/db/s/t","access":"own"}"#, "not an access level"),
    (#"{"kind":"subscribe","user":"ana","path":"prod/db/s/t","expires":"soon"}"#, "not an instant"),
    (#"{"kind":"subscribe","user":"ana","path":"prod/db/s/t","expires":"2001-01-01T00:00:00Z"}"#, "has passed"),
    (#"{"kind":"revoke","user":"ana","path":"prod/db/s/t","expires":"2999-01-01T00:00:00Z"}"#, "no \"expires\""),
    (#"{"kind":"revoke","user":"ana","path":"prod/db/s/t","terminate_sessions":1}"#, "true or false"),
    (#"{"kind":"subscribe","user":"ana","path":"prod/db/s/t","terminate_sessions":true}"#, "no \"terminate_sessions\""),
    (#"{"kind":"sync","path":"prod","terminate_sessions":false}"#, "no \"terminate_sessions\""),
    (#"{"kind":"sync","path":"prod","pathh":"x"}"#, "no field \"pathh\""),
    (#"{"kind":"sync","path":7}"#, "should be a string"),
    (#"{"kind":"sync","path":"prod","access":"read"}"#, "no \"access\""),
    (#"{"kind":"sync","path":"prod","expires":"2999-01-01T00:00:00Z"}"#, "no \"expires\""),
    (#"{"kind":"sync","path":"a","path":"b:{\""}"#, "more than once"),
  ])
  func refuses(line: String, reason: String) {
    let fault = #expect(throws: SubmissionLine.Fault.self) { _ = try SubmissionLine(json: Data(line.utf8)) }
    #expect(fault?.description.contains(reason) == true, "\(fault?.description ?? "no fault")")
  }
}

@Suite struct SubmissionFileTests {
  private static let good = #"{"kind":"sync","path":"prod"}"#

  @Test func blankLinesAndOtherLineEndingsAreNoRequests() throws {
    try Self.withFile("\(Self.good)\r\n\n  \n\(Self.good)") { file in
      let (count, faults) = try file.inspect()
      #expect(count == 2)
      #expect(faults.isEmpty)
    }
  }

  @Test func everyFaultyLineIsToldByItsNumber() throws {
    try Self.withFile("\(Self.good)\nnonsense\n\(Self.good)\n{}\n") { file in
      let failure = try file.inspect().faults.failure(in: file.name)
      #expect(failure.status == .failed)
      let lines = failure.description.split(separator: "\n").map(String.init)
      #expect(lines.count == 3)
      #expect(lines.first == "\(file.name):2: the line is not JSON")
      #expect(lines.dropFirst().first?.hasPrefix("\(file.name):4: ") == true)
      #expect(lines.last == "nothing was submitted")
    }
  }

  @Test func manyFaultyLinesAreCountedNotListed() throws {
    let faulty = String(repeating: "x\n", count: 100)
    try Self.withFile(faulty) { file in
      let failure = try file.inspect().faults.failure(in: file.name)
      #expect(failure.description.split(separator: "\n").count == LineFaults.limit + 2)
      #expect(failure.description.contains("and 80 more faulty lines"))
    }
  }

  @Test func aLineThatIsTooLongIsOneFaultAmongOthers() async throws {
    let long = String(repeating: "x", count: SubmissionLine.limit * 50)
    try await Self.withFile("\(Self.good)\n\(long)\n\(Self.good)\nnonsense\n\(Self.good)") { file in
      let (count, faults) = try file.inspect()
      let lines = faults.failure(in: file.name).description.split(separator: "\n").map(String.init)
      #expect(count == 3 && lines.count == 3 && lines[2] == "nothing was submitted", "\(lines)")
      #expect(lines[0].contains(":2: the line is longer than 65536 bytes") && lines[1].contains(":4: "), "\(lines)")
      // The place after it is right too.
      var places: [LineReader.Position] = []
      try await file.forEachBatch(skippingFaulty: true) { batch, place in
        #expect(batch.map(\.number) == [1, 3, 5])
        places.append(place)
        return true
      }
      let size = try Data(contentsOf: URL(fileURLWithPath: file.path)).count
      #expect(places.map(\.offset) == [UInt64(size + 1)])
    }
  }

  @Test func aLineWithoutEndEndsTheReading() throws {
    let file = try SubmissionFile(path: "/dev/zero")
    let failure = #expect(throws: CommandFailure.self) { _ = try file.inspect() }
    #expect(failure?.description.contains(":1: the line does not end within") == true)
    #expect(failure?.description.hasSuffix("nothing was submitted") == true)
  }

  @Test func batchesHoldEveryLineOnceAndInOrder() async throws {
    let lines = (1...2500).map { #"{"kind":"sync","path":"c\#($0)"}"# }.joined(separator: "\n")
    try await Self.withFile(lines) { file in
      var numbers: [Int] = []
      try await file.forEachBatch { batch, _ in
        #expect(batch.count <= SubmissionFile.batchSize)
        numbers += batch.map(\.number)
        return true
      }
      #expect(numbers == Array(1...2500))
    }
  }

  @Test func readingGoesOnWhereItStopped() async throws {
    let lines = (1...2500).map { #"{"kind":"sync","path":"c\#($0)"}"# }.joined(separator: "\r\n")
    try await Self.withFile(lines) { file in
      var numbers: [Int] = []
      var place: LineReader.Position? = .init()
      while let start = place {
        place = nil
        try await file.forEachBatch(from: start) { batch, next in
          numbers += batch.map(\.number)
          place = numbers.count < 2500 ? next : nil
          return false
        }
      }
      #expect(numbers == Array(1...2500))
    }
  }

  private static func withFile(_ text: String, _ body: (SubmissionFile) async throws -> Void) async throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-\(UUID().uuidString).jsonl").path
    try PrivateFile.create(path, text: text)
    defer { unlink(path) }
    try await body(try SubmissionFile(path: path))
  }

  private static func withFile(_ text: String, _ body: (SubmissionFile) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-\(UUID().uuidString).jsonl").path
    try PrivateFile.create(path, text: text)
    defer { unlink(path) }
    try body(try SubmissionFile(path: path))
  }
}
