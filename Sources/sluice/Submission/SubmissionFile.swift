import Foundation
import Governance
import Metadata
import Platform

/// A JSONL file of requests, read twice in bounded memory: all of it is checked before any of it is submitted.
struct SubmissionFile: Sendable {
  /// Lines that are submitted by one set of statements.
  static let batchSize = 1000

  /// The file that is read; for standard input, a copy of it.
  let path: String
  /// What messages call it.
  let name: String
  private let isCopy: Bool

  /// - Parameter path: a file, or `-` for standard input, which is copied first because it is read twice.
  init(path: String) throws {
    guard path == "-" else {
      self.path = path
      name = path
      isCopy = false
      return
    }
    let copy = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-\(UUID().uuidString).jsonl").path
    try PrivateFile.create(copy, text: "")
    guard let handle = FileHandle(forWritingAtPath: copy) else { throw CommandFailure.refused("cannot write \(copy)") }
    while let chunk = try FileHandle.standardInput.read(upToCount: 1 << 16), !chunk.isEmpty {
      try handle.write(contentsOf: chunk)
    }
    try handle.close()
    self.path = copy
    name = "standard input"
    isCopy = true
  }

  /// Removes the copy of standard input.
  func discardCopy() {
    // best effort: a copy left in the temporary directory is readable by its owner only, and harmless
    if isCopy { try? FileManager.default.removeItem(atPath: path) }
  }

  /// Reads every line.
  ///
  /// - Returns: how many requests there are, and what is wrong with the others.
  func inspect() throws -> (count: Int, faults: LineFaults) {
    var count = 0
    var faults = LineFaults()
    try forEachLine { number, line in
      do throws(SubmissionLine.Fault) {
        _ = try SubmissionLine(json: line)
        count += 1
      } catch {
        faults.add(number, error.description)
      }
    }
    return (count, faults)
  }

  /// Hands out requests in batches, with the number of each line and the place after the last, until `body` returns
  /// false.
  ///
  /// - Parameter skippingFaulty: whether a faulty line is passed over; else it ends the reading.
  func forEachBatch(
    from start: LineReader.Position = .init(), skippingFaulty: Bool = false,
    _ body: ([(number: Int, line: SubmissionLine)], LineReader.Position) async throws -> Bool
  ) async throws {
    var reader = try LineReader(path: path, from: start, lineLimit: SubmissionLine.limit)
    var batch: [(number: Int, line: SubmissionLine)] = []
    while let line = reader.next() {
      if Self.isBlank(line) { continue }
      do throws(SubmissionLine.Fault) {
        batch.append((reader.lineNumber, try SubmissionLine(json: line)))
      } catch {
        if skippingFaulty { continue }
        var faults = LineFaults()
        faults.add(reader.lineNumber, error.description)
        throw faults.failure(in: name)
      }
      if batch.count == Self.batchSize {
        guard try await body(batch, reader.position) else { return }
        batch = []
      }
    }
    if let failure = reader.failure { throw failure }
    if !batch.isEmpty { _ = try await body(batch, reader.position) }
  }

  private func forEachLine(_ body: (Int, Data) throws -> Void) throws {
    var reader = try LineReader(path: path, lineLimit: SubmissionLine.limit)
    while let line = reader.next() {
      if !Self.isBlank(line) { try body(reader.lineNumber, line) }
    }
    if let failure = reader.failure { throw failure }
  }

  private static func isBlank(_ line: Data) -> Bool { line.allSatisfy { $0 == 0x20 || $0 == 0x09 } }
}
