internal import CHiredis

/// The reply parser of hiredis. Each reply is copied out at once; nothing of C leaves this type.
struct ReplyReader: ~Copyable {
  private let reader: UnsafeMutablePointer<redisReader>

  init() throws(RedisError) {
    guard let reader = redisReaderCreate() else { throw RedisError(.overloaded, "no memory for a reply parser") }
    self.reader = reader
  }

  deinit { redisReaderFree(reader) }

  func feed(_ bytes: UnsafeRawBufferPointer) throws(RedisError) {
    let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
    guard redisReaderFeed(reader, start, bytes.count) == REDIS_OK else { throw violation() }
  }

  /// The next complete reply, or nil until more bytes have come.
  func next() throws(RedisError) -> RedisValue? {
    var reply: UnsafeMutableRawPointer?
    guard redisReaderGetReply(reader, &reply) == REDIS_OK else { throw violation() }
    guard let reply else { return nil }
    defer { freeReplyObject(reply) }
    return Self.value(reply.assumingMemoryBound(to: redisReply.self).pointee)
  }

  private static func value(_ reply: redisReply) -> RedisValue {
    switch reply.type {
    case REDIS_REPLY_INTEGER: return .integer(reply.integer)
    case REDIS_REPLY_STRING: return .string(bytes(reply))
    case REDIS_REPLY_STATUS: return .status(String(decoding: bytes(reply), as: UTF8.self))
    case REDIS_REPLY_ERROR: return .error(RedisServerError(line: String(decoding: bytes(reply), as: UTF8.self)))
    case REDIS_REPLY_ARRAY:
      let elements = UnsafeBufferPointer(start: reply.element, count: Int(reply.elements))
      return .array(elements.map { $0.map { value($0.pointee) } ?? .null })
    default: return .null
    }
  }

  private static func bytes(_ reply: redisReply) -> [UInt8] {
    guard let start = reply.str else { return [] }
    return [UInt8](UnsafeRawBufferPointer(start: start, count: Int(reply.len)))
  }

  private func violation() -> RedisError {
    let text = withUnsafeBytes(of: reader.pointee.errstr) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    return RedisError(.protocolViolation, "the peer does not answer as Redis does: \(text)")
  }
}
