import NIOCore

/// What the server says on its way to the client: the cancel key exchanged, the rest as it is, and an end between
/// two messages when the instance is stopped.
struct ClientFeed {
  private let session: GatewaySession
  private var boundary = MessageBoundary()
  private var greeting: ByteBuffer? = ByteBuffer()

  init(_ session: GatewaySession) { self.session = session }

  var isBetweenMessages: Bool { greeting != nil || boundary.isBetweenMessages }

  /// What of `chunk` the client is to have.
  mutating func pass(_ chunk: ByteBuffer) -> ByteBuffer {
    var chunk = chunk
    var output = ByteBuffer()
    if var pending = greeting {
      pending.writeBuffer(&chunk)
      let isReady = greet(&pending, into: &output)
      greeting = isReady ? nil : pending
      chunk = isReady ? pending : ByteBuffer()
    }
    var passed = boundary.advance(over: &chunk, toFirstBoundary: session.isStopping)
    output.writeBuffer(&passed)
    return output
  }

  /// Moves whole messages until the server is ready for the first query; true when it is.
  private mutating func greet(_ pending: inout ByteBuffer, into output: inout ByteBuffer) -> Bool {
    while let type = pending.getInteger(at: pending.readerIndex, as: UInt8.self),
      let length = pending.getInteger(at: pending.readerIndex + 1, as: Int32.self),
      var message = pending.readSlice(length: Int(length) + 1)
    {
      if type == UInt8(ascii: "K") {
        message.moveReaderIndex(forwardBy: WireMessage.headerLength)
        session.upstreamKey = CancelKey(readFrom: &message)
        message = WireMessage.backendKey(session.key)
      }
      output.writeBuffer(&message)
      if type == UInt8(ascii: "Z") { return true }
    }
    return false
  }
}
