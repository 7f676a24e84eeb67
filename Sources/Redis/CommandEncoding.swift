internal import CHiredis
import Glibc
import NIOCore

/// Turns commands into bytes of the Redis protocol; hiredis does the formatting.
enum CommandEncoding {
  /// Appends one command. hiredis wants pointers to all arguments at once: they are laid out in one array.
  static func append(_ command: [String], to buffer: inout ByteBuffer, limit: Int) throws(RedisError) {
    precondition(!command.isEmpty, "a Redis command needs a name")
    let lengths = command.map(\.utf8.count)
    let total = lengths.reduce(0, +)
    guard total <= limit else {
      throw RedisError(
        .overloaded, "a command of \(total) bytes is longer than the limit of \(limit); send smaller batches")
    }
    var arguments: [UInt8] = []
    arguments.reserveCapacity(total + 1)
    for argument in command { arguments.append(contentsOf: argument.utf8) }
    arguments.append(0)
    let written = arguments.withUnsafeBytes { format($0, lengths: lengths, into: &buffer) }
    guard written else { throw RedisError(.overloaded, "no memory for a command of \(total) bytes") }
  }

  private static func format(_ flat: UnsafeRawBufferPointer, lengths: [Int], into buffer: inout ByteBuffer) -> Bool {
    guard var next = flat.baseAddress?.assumingMemoryBound(to: CChar.self) else { return false }
    var pointers: [UnsafePointer<CChar>?] = []
    pointers.reserveCapacity(lengths.count)
    for length in lengths {
      pointers.append(next)
      next += length
    }
    var target: UnsafeMutablePointer<CChar>?
    let count = redisFormatCommandArgv(&target, Int32(lengths.count), &pointers, lengths)
    guard count > 0, let target else { return false }
    defer { redisFreeCommand(target) }
    buffer.writeBytes(UnsafeRawBufferPointer(start: target, count: Int(count)))
    return true
  }
}
