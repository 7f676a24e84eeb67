import Foundation

/// The lines of a file, one after another, in bounded memory.
struct LineReader: Sequence, IteratorProtocol {
  /// Bytes that are read at once.
  private static let chunkSize = 1 << 16

  private let handle: FileHandle
  private let path: String
  private let lineLimit: Int
  private var buffer = Data()
  private var isAtEnd = false
  /// The number of the line that was returned last; the first is 1.
  var lineNumber: Int { position.lineNumber }
  /// Why reading ended before the end of the file.
  private(set) var failure: CommandFailure?

  /// Where the next line begins.
  private(set) var position: Position

  /// A place between two lines of a file.
  struct Position: Sendable {
    var offset: UInt64 = 0
    /// Lines before it.
    var lineNumber = 0
  }

  /// Of a line that is too long, the bytes that are read to find its end; a longer one ends the reading with a failure.
  private static let skipLimit = 1 << 23
  /// The bytes of a line that is too long that were read and thrown away.
  private var skipped = 0

  /// - Parameter lineLimit: the longest line in bytes; of a longer one comes a part that is longer too.
  init(path: String, from start: Position = Position(), lineLimit: Int) throws {
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw CommandFailure.refused("cannot read \(path); check the path and its permissions")
    }
    self.handle = handle
    self.path = path
    self.lineLimit = lineLimit
    position = start
    do { try handle.seek(toOffset: start.offset) } catch {
      throw CommandFailure.refused("cannot read \(path): \(FileFault.reason(of: error))")
    }
  }

  mutating func next() -> Data? {
    guard failure == nil else { return nil }
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        let line = buffer[buffer.startIndex..<end]
        buffer = buffer[buffer.index(after: end)...]
        return accept(line)
      }
      if isAtEnd {
        guard !buffer.isEmpty else { return nil }
        defer { buffer = Data() }
        return accept(buffer)
      }
      if buffer.count > lineLimit {
        // Its beginning stays, longer than what is allowed.
        let surplus = buffer.count - lineLimit - 1
        skipped += surplus
        buffer = buffer.prefix(lineLimit + 1)
        if skipped > Self.skipLimit { return fail(position.lineNumber + 1) }
      }
      readMore()
    }
  }

  private mutating func accept(_ line: Data) -> Data? {
    position.lineNumber += 1
    position.offset += UInt64(line.count + skipped) + 1
    skipped = 0
    return line.last == UInt8(ascii: "\r") ? line.dropLast() : line
  }

  private mutating func fail(_ number: Int) -> Data? {
    failure = .refused(
      "\(path):\(number): the line does not end within \(Self.skipLimit) bytes; nothing was submitted")
    return nil
  }

  private mutating func readMore() {
    do {
      let more = try handle.read(upToCount: Self.chunkSize) ?? Data()
      isAtEnd = more.isEmpty
      // A fresh buffer, so that what has been read already is not kept.
      buffer = Data(buffer) + more
    } catch {
      failure = .refused("cannot read \(path): \(FileFault.reason(of: error))")
      isAtEnd = true
      buffer = Data()
    }
  }
}
