import NIOCore

/// The client's start of the conversation, message by message, and then what follows, as it comes.
struct ClientReader {
  /// Limits of the real gateway, in bytes.
  private static let startupLengths = 8..<10_000
  private static let longestPassword = 64 << 10

  private var chunks: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
  private var received = ByteBuffer()

  init(_ stream: NIOAsyncChannelInboundStream<ByteBuffer>) { chunks = stream.makeAsyncIterator() }

  /// The StartupMessage; nil if the client left.
  mutating func startup() async throws -> StartupMessage? {
    guard try await fill(4), let length = received.getInteger(at: received.readerIndex, as: Int32.self) else {
      return nil
    }
    guard Self.startupLengths.contains(Int(length)) else { throw Refusal.startupLength }
    guard try await fill(Int(length)), let bytes = received.readSlice(length: Int(length)) else { return nil }
    return try StartupMessage(bytes)
  }

  /// The text of a PasswordMessage; nil if the client left.
  mutating func password() async throws -> String? {
    guard try await fill(WireMessage.headerLength),
      let type = received.readInteger(as: UInt8.self), let length = received.readInteger(as: Int32.self)
    else { return nil }
    guard type == UInt8(ascii: "p"), (5...Self.longestPassword).contains(Int(length)) else { throw Refusal.noPassword }
    guard try await fill(Int(length) - 4), var body = received.readSlice(length: Int(length) - 4) else { return nil }
    return body.readNullTerminatedString()
  }

  /// What else has come, in any portions; nil at the end.
  mutating func next() async throws -> ByteBuffer? {
    if received.readableBytes > 0 {
      defer { received = ByteBuffer() }
      return received.slice()
    }
    return try await chunks.next()
  }

  private mutating func fill(_ count: Int) async throws -> Bool {
    while received.readableBytes < count {
      guard var chunk = try await chunks.next() else { return false }
      received.writeBuffer(&chunk)
    }
    return true
  }
}

/// The first message of a client, kept as it came to be passed on.
struct StartupMessage: Sendable {
  let bytes: ByteBuffer
  let user: String
  let database: String

  init(_ bytes: ByteBuffer) throws {
    self.bytes = bytes
    var rest = bytes
    rest.moveReaderIndex(forwardBy: 4)
    guard let version = rest.readInteger(as: Int32.self), version == WireMessage.protocol3 else {
      throw Refusal.unsupportedProtocol(bytes.getInteger(at: bytes.readerIndex + 4, as: Int32.self) ?? 0)
    }
    var parameters: [String: String] = [:]
    while let name = rest.readNullTerminatedString(), !name.isEmpty {
      parameters[name] = rest.readNullTerminatedString()
    }
    guard let user = parameters["user"], !user.isEmpty else {
      throw Refusal(code: "28000", message: "no PostgreSQL user name specified in startup packet")
    }
    self.user = user
    database = parameters["database"] ?? user
  }
}
