import NIOCore
import NIOPosix

/// Sends bytes and keeps everything that comes back until the other side closes.
enum RawClient {
  static func receiveAll(port: Int, sending bytes: [UInt8]) async throws -> [UInt8] {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    return try await channel.executeThenClose { inbound, outbound in
      if !bytes.isEmpty { try await outbound.write(ByteBuffer(bytes: bytes)) }
      var received: [UInt8] = []
      for try await chunk in inbound { received += Array(chunk.readableBytesView) }
      return received
    }
  }
}
