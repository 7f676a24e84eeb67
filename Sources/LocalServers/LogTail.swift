import Foundation

/// The last lines of a server's log, for an error message.
enum LogTail {
  static let lineLimit = 12
  private static let byteLimit: UInt64 = 8_192

  static func read(_ path: String) -> String {
    // best effort: the error that quotes the log stands without it
    guard let handle = FileHandle(forReadingAtPath: path), let end = try? handle.seekToEnd() else { return "" }
    // best effort: see above
    try? handle.seek(toOffset: end > byteLimit ? end - byteLimit : 0)
    // best effort: see above
    let bytes = (try? handle.readToEnd()) ?? Data()
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    return lines.suffix(lineLimit).joined(separator: "\n")
  }
}
