import NIOCore
import NIOPosix

typealias ByteChannel = NIOAsyncChannel<ByteBuffer, ByteBuffer>

/// Connections to the real servers.
struct UpstreamConnector: Sendable {
  private static let connectTimeout = TimeAmount.seconds(5)

  let group: any EventLoopGroup

  /// Fails silently towards the client: the real gateway just closes when the server behind it does not answer.
  func connect(_ instance: StandIn.Instance) async throws -> ByteChannel {
    let bootstrap = ClientBootstrap(group: group).connectTimeout(Self.connectTimeout)
    let wrap: @Sendable (any Channel) -> EventLoopFuture<ByteChannel> = { channel in
      channel.eventLoop.makeCompletedFuture { try ByteChannel(wrappingChannelSynchronously: channel) }
    }
    do {
      switch instance.upstream {
      case .socket(let directory, let port):
        return try await bootstrap.connect(
          unixDomainSocketPath: "\(directory)/.s.PGSQL.\(port)", channelInitializer: wrap)
      case .loopback(let port):
        return try await bootstrap.connect(host: "127.0.0.1", port: port, channelInitializer: wrap)
      }
    } catch { throw Refusal.silent }
  }

  /// Asks the server to cancel, and waits until it has taken note.
  func cancel(_ key: CancelKey, on instance: StandIn.Instance) async throws {
    let channel = try await connect(instance)
    try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(WireMessage.cancelRequest(key))
      for try await _ in inbound {}
    }
  }
}
