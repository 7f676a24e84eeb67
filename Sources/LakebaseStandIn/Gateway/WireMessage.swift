import NIOCore

/// Messages of the PostgreSQL protocol 3.0 that the gateway itself writes.
enum WireMessage {
  static let sslRequestCode: Int32 = 80_877_103
  static let cancelRequestCode: Int32 = 80_877_102
  static let protocol3: Int32 = 196_608
  /// Type and length of a message.
  static let headerLength = 5

  static let authenticationCleartextPassword = message(UInt8(ascii: "R")) { $0.writeInteger(Int32(3)) }

  static func backendKey(_ key: CancelKey) -> ByteBuffer {
    message(UInt8(ascii: "K")) { key.write(into: &$0) }
  }

  static func cancelRequest(_ key: CancelKey) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.writeInteger(Int32(16))
    buffer.writeInteger(cancelRequestCode)
    key.write(into: &buffer)
    return buffer
  }

  static func error(_ refusal: Refusal) -> ByteBuffer {
    message(UInt8(ascii: "E")) { body in
      for (field, text) in refusal.fields {
        body.writeInteger(field)
        body.writeNullTerminatedString(text)
      }
      body.writeInteger(UInt8(0))
    }
  }

  private static func message(_ type: UInt8, _ write: (inout ByteBuffer) -> Void) -> ByteBuffer {
    var body = ByteBuffer()
    write(&body)
    var buffer = ByteBuffer()
    buffer.writeInteger(type)
    buffer.writeInteger(Int32(body.readableBytes + 4))
    buffer.writeBuffer(&body)
    return buffer
  }
}

/// What a client must show to cancel a statement of a session.
struct CancelKey: Hashable, Sendable {
  let processID: Int32
  let secret: Int32

  static func random() -> CancelKey {
    CancelKey(processID: .random(in: 1...Int32.max), secret: .random(in: Int32.min...Int32.max))
  }

  init(processID: Int32, secret: Int32) {
    self.processID = processID
    self.secret = secret
  }

  init?(readFrom buffer: inout ByteBuffer) {
    guard let processID = buffer.readInteger(as: Int32.self), let secret = buffer.readInteger(as: Int32.self) else {
      return nil
    }
    self.init(processID: processID, secret: secret)
  }

  func write(into buffer: inout ByteBuffer) {
    buffer.writeInteger(processID)
    buffer.writeInteger(secret)
  }
}
