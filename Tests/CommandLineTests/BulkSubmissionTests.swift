import Foundation
import Metadata
import Platform
import SluiceTestKit
import Testing

@testable import sluice

@Suite(.timeLimit(.minutes(2)))
struct BulkSubmissionTests {
  /// Three batches of requests, each for the sync of another connection, while the queue is full.
  private static func run(
    lastLine: String? = nil, _ body: @Sendable (MetadataDatabase, SubmissionFile, Int) async throws -> Void
  ) async throws {
    try await withMetadata { metadata in
      for name in ["c1", "c2", "c3"] {
        _ = try await metadata.transaction {
          try await $0.insert(
            Connection(name: name, kind: .postgres, host: "h", database: "d", username: "u"), secret: Secret("s"),
            key: .random())
        }
      }
      try await metadata.transaction { _ = try await $0.noteQueue(isFull: true) }
      let path = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-\(UUID().uuidString).jsonl").path
      let lines = ["c1", "c2", "c3"].flatMap { name in
        (0..<SubmissionFile.batchSize).map { _ in #"{"kind":"sync","path":"\#(name)"}"# }
      }
      try PrivateFile.create(path, text: (lines + [lastLine].compactMap(\.self)).joined(separator: "\n"))
      defer { unlink(path) }
      try await body(metadata, try SubmissionFile(path: path), lines.count + (lastLine == nil ? 0 : 1))
    }
  }

  private static func submitted(_ metadata: MetadataDatabase) async throws -> [String] {
    try await metadata.read { try await $0.jobs(.init()) }.map(\.connection).sorted()
  }

  @Test func aFullQueueHoldsUpTheRestOfAFileUntilThereIsRoom() async throws {
    try await Self.run { metadata, file, total async throws in
      async let jobs = BulkSubmission(file: file, metadata: metadata, total: total, deadline: nil).run()
      while try await Self.submitted(metadata).isEmpty { await Task.yield() }
      #expect(try await Self.submitted(metadata) == ["c1"], "one batch, and it is committed")
      try await metadata.transaction { _ = try await $0.noteQueue(isFull: false) }
      let new = try await jobs.filter(\.isNew)
      #expect(new.count == 3)
      #expect(try await Self.submitted(metadata) == ["c1", "c2", "c3"])
    }
  }

  @Test func waitingForRoomEndsAtTheDeadlineAndLosesNothing() async throws {
    try await Self.run { metadata, file, total async throws in
      let submission = BulkSubmission(file: file, metadata: metadata, total: total, deadline: .after(.zero))
      let failure = await #expect(throws: CommandFailure.self) { _ = try await submission.run() }
      #expect(failure?.status == .timedOut && failure?.description.contains("1000 of 3000") == true)
      #expect(try await Self.submitted(metadata) == ["c1"])
    }
  }

  /// All lines are checked before any is submitted, also when parts are committed one by one.
  @Test func aFaultBehindAFullQueueSubmitsNothing() async throws {
    try await Self.run(lastLine: #"{"kind":"sync","path":"nowhere"}"#) { metadata, file, total async throws in
      let submission = BulkSubmission(file: file, metadata: metadata, total: total, deadline: nil)
      let failure = await #expect(throws: CommandFailure.self) { _ = try await submission.run() }
      #expect(failure?.description.contains("\(total): there is no connection") == true)
      #expect(try await Self.submitted(metadata).isEmpty)
    }
  }
}
