import Foundation
import Platform

/// What was done when, told as it happens.
actor FaultLog {
  struct Entry: Sendable {
    let kind: FaultKind
    let ended: Date
  }

  private(set) var entries: [Entry] = []
  private let began = ContinuousClock.now
  private let file: FileHandle

  init(path: String) throws {
    guard FileManager.default.createFile(atPath: path, contents: nil) else {
      throw CampaignError("cannot make \(path)")
    }
    guard let file = FileHandle(forWritingAtPath: path) else { throw CampaignError("cannot write \(path)") }
    self.file = file
  }

  /// A line on standard output and in the log file, with the seconds since the beginning.
  func say(_ text: String) throws {
    let seconds = String(format: "%7.1f s", began.duration(to: .now).inSeconds)
    let line = Data("\(seconds)  \(text)\n".utf8)
    try FileHandle.standardOutput.write(contentsOf: line)
    try file.write(contentsOf: line)
  }

  func note(_ kind: FaultKind, ended: Date) { entries.append(Entry(kind: kind, ended: ended)) }
}
