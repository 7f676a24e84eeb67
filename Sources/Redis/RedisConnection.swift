import Glibc
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Platform

/// One logged-in connection; replies come in the order of the commands.
final class RedisConnection: Sendable {
  private let channel: any Channel
  private let handler: NIOLoopBound<CommandHandler>
  private let limits: RedisConfiguration.Limits

  private init(channel: any Channel, handler: NIOLoopBound<CommandHandler>, limits: RedisConfiguration.Limits) {
    self.channel = channel
    self.handler = handler
    self.limits = limits
  }

  var isActive: Bool { channel.isActive }

  /// The system's words alone, without those of the call that failed.
  static func reason(of error: any Error) -> String {
    guard let error = error as? IOError else { return "\(error)" }
    return String(cString: strerror(error.errnoCode))
  }

  /// Resolves, connects, shakes hands and logs in.
  static func open(_ configuration: RedisConfiguration) async throws(RedisError) -> RedisConnection {
    let deadline = Deadline.after(configuration.connectTimeout)
    let addresses: [String]
    do throws(ResolverError) {
      addresses = try await Resolver.addresses(of: configuration.host, deadline: deadline)
    } catch {
      throw RedisError(.unavailable, error.description)
    }
    let tls = try TLSHandshake(configuration)
    var failure = RedisError(.unavailable, "\(configuration.host) has no address")
    for address in addresses {
      do throws(RedisError) {
        return try await connect(to: address, configuration, tls, deadline)
      } catch {
        failure = error
      }
    }
    throw failure
  }

  private static func connect(
    to address: String, _ configuration: RedisConfiguration, _ tls: TLSHandshake?, _ deadline: Deadline
  ) async throws(RedisError) -> RedisConnection {
    let limits = configuration.limits
    let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(.milliseconds(Int64(max(1, deadline.remainingMilliseconds))))
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.socketOption(.so_keepalive), value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let tls { try channel.pipeline.syncOperations.addHandler(tls.handler()) }
          try channel.pipeline.syncOperations.addHandler(CommandHandler(limits: limits))
        }
      }
    let connection: RedisConnection
    do {
      let channel = try await bootstrap.connect(to: SocketAddress(ipAddress: address, port: configuration.port)).get()
      let handler = try await channel.eventLoop.submit {
        NIOLoopBound(
          try channel.pipeline.syncOperations.handler(type: CommandHandler.self), eventLoop: channel.eventLoop)
      }.get()
      connection = RedisConnection(channel: channel, handler: handler, limits: limits)
    } catch {
      throw RedisError(.unavailable, "no connection to \(configuration.endpoint): \(reason(of: error))")
    }
    try await connection.logIn(configuration, deadline)
    return connection
  }

  private func logIn(_ configuration: RedisConfiguration, _ deadline: Deadline) async throws(RedisError) {
    var commands: [[String]] = []
    if let password = configuration.password?.reveal() {
      commands.append(["AUTH"] + (configuration.user.map { [$0] } ?? []) + [password])
    }
    commands.append(["SELECT", String(configuration.database)])
    do throws(RedisError) {
      for reply in try await send(commands, deadline: deadline) { _ = try reply.orThrow() }
    } catch {
      close()
      guard case .server = error.code else { throw error }
      throw RedisError(error.code, "login to \(configuration.endpoint): \(error.message); check the URL")
    }
  }

  /// Sends all commands in one write. Error replies are among the values.
  func send(_ commands: [[String]], deadline: Deadline) async throws(RedisError) -> [RedisValue] {
    if commands.isEmpty { return [] }
    var bytes = channel.allocator.buffer(capacity: 256)
    for command in commands { try CommandEncoding.append(command, to: &bytes, limit: limits.commandBytes) }
    let replies = Awaited<[RedisValue]>()
    let submission = Submission(bytes: bytes, commands: commands.count, deadline: deadline, replies: replies)
    let handler = handler
    channel.eventLoop.execute { handler.value.submit(submission) }
    return try await replies.value()
  }

  func close() { channel.close(promise: nil) }
}

/// What a channel needs to speak TLS.
private struct TLSHandshake: Sendable {
  private let context: NIOSSLContext
  private let serverName: String?

  init?(_ configuration: RedisConfiguration) throws(RedisError) {
    guard let tls = configuration.tls else { return nil }
    var settings = TLSConfiguration.makeClientConfiguration()
    settings.certificateVerification = tls.verifies ? .fullVerification : .none
    if let file = tls.caFile { settings.trustRoots = .file(file) }
    do { context = try NIOSSLContext(configuration: settings) } catch {
      throw RedisError(.configuration, "TLS cannot be set up (CA file \(tls.caFile ?? "of the system")): \(error)")
    }
    // SNI carries names only; for a numeric host the certificate is checked against the address.
    serverName = Resolver.isNumeric(configuration.host) ? nil : configuration.host
  }

  func handler() throws -> NIOSSLClientHandler { try NIOSSLClientHandler(context: context, serverHostname: serverName) }
}
