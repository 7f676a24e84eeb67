import NIOCore

/// Follows a stream of messages without keeping it: tells where one ends and the next begins.
struct MessageBoundary {
  private var header = ByteBuffer()
  private var bodyLeft = 0

  var isBetweenMessages: Bool { header.readableBytes == 0 && bodyLeft == 0 }

  /// Moves over `buffer`, or only to the first place between two messages, and returns what was moved over.
  mutating func advance(over buffer: inout ByteBuffer, toFirstBoundary: Bool) -> ByteBuffer {
    var passed = buffer
    while buffer.readableBytes > 0 {
      if toFirstBoundary, isBetweenMessages { break }
      if bodyLeft > 0 {
        let step = min(bodyLeft, buffer.readableBytes)
        buffer.moveReaderIndex(forwardBy: step)
        bodyLeft -= step
      } else {
        readHeader(&buffer)
      }
    }
    return passed.readSlice(length: passed.readableBytes - buffer.readableBytes) ?? ByteBuffer()
  }

  private mutating func readHeader(_ buffer: inout ByteBuffer) {
    let step = min(WireMessage.headerLength - header.readableBytes, buffer.readableBytes)
    if var part = buffer.readSlice(length: step) { header.writeBuffer(&part) }
    guard header.readableBytes == WireMessage.headerLength else { return }
    // The length counts itself.
    bodyLeft = max(0, Int(header.getInteger(at: header.readerIndex + 1, as: Int32.self) ?? 4) - 4)
    header.clear()
  }
}
