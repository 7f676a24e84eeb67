import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Platform

/// A connection that has come in, and what its first packet will have been.
struct GatewayArrival: Sendable {
  let channel: ByteChannel
  let opening: EventLoopFuture<Opening>

  func closeAfter(_ duration: Duration) -> Scheduled<Void> {
    let channel = channel.channel
    return channel.eventLoop.scheduleTask(in: .milliseconds(Int64(duration.wholeMilliseconds))) {
      channel.writeAndFlush(WireMessage.error(.insecure), promise: nil)
      channel.close(promise: nil)
    }
  }
}

/// Listens for PostgreSQL clients on loopback and serves each in a task of its own.
struct Gateway: Sendable {
  private static let backlog: Int32 = 256

  let port: Int
  private let running: Task<Void, Never>

  static func start(_ service: ConnectionService, certificates: Certificates, port: Int) async throws -> Gateway {
    let tls = try NIOSSLContext(
      configuration: .makeServerConfiguration(
        certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.certificateFile).map { .certificate($0) },
        privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.keyFile, format: .pem))))
    let server = try await ServerBootstrap(group: service.connector.group)
      .serverChannelOption(.backlog, value: backlog)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .bind(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          let opening = channel.eventLoop.makePromise(of: Opening.self)
          try channel.pipeline.syncOperations.addHandler(OpeningHandler(tls: tls, opening: opening))
          return GatewayArrival(
            channel: try ByteChannel(wrappingChannelSynchronously: channel), opening: opening.futureResult)
        }
      }
    guard let port = server.channel.localAddress?.port else {
      throw StandInError(code: .listening, message: "the gateway has no port")
    }
    // Outlives this call: it accepts until `shutDown` cancels it.
    let running = Task { await accept(server, service) }
    return Gateway(port: port, running: running)
  }

  func shutDown() async {
    running.cancel()
    await running.value
  }

  private static func accept(
    _ server: NIOAsyncChannel<GatewayArrival, Never>, _ service: ConnectionService
  ) async {
    do {
      try await withThrowingDiscardingTaskGroup { group in
        try await server.executeThenClose { arrivals in
          for try await arrival in arrivals { group.addTask { await service.serve(arrival) } }
        }
      }
    } catch is CancellationError {
      return
    } catch {
      service.logger.error("the gateway stopped accepting", metadata: ["error": "\(error)"])
    }
  }
}
