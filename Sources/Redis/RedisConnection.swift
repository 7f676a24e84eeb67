import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import Platform

/// One connection to a Redis or Sentinel server; replies come in the order of the commands.
final class RedisConnection: Sendable {
  let endpoint: RedisEndpoint
  private let channel: any Channel
  private let handler: NIOLoopBound<CommandHandler>
  private let health: ConnectionHealth
  private let limits: RedisConfiguration.Limits

  private init(
    endpoint: RedisEndpoint, channel: any Channel, handler: NIOLoopBound<CommandHandler>, health: ConnectionHealth,
    limits: RedisConfiguration.Limits
  ) {
    self.endpoint = endpoint
    self.channel = channel
    self.handler = handler
    self.health = health
    self.limits = limits
  }

  /// False as soon as no further command can be answered; a channel that says goodbye in TLS is active for longer.
  var isUsable: Bool { channel.isActive && !health.hasFailed }

  /// The system's words alone, without those of the call that failed.
  static func reason(of error: any Error) -> String {
    if let error = error as? IOError { return String(cString: strerror(error.errnoCode)) }
    return TLSHandshake.reason(of: error) ?? "\(error)"
  }

  /// Resolves and connects; each address has an equal share of the time that is left. TLS is shaken hands on with the
  /// first command.
  static func open(
    _ endpoint: RedisEndpoint, tls: TLSHandshake?, limits: RedisConfiguration.Limits, until deadline: Deadline
  ) async throws(RedisError) -> RedisConnection {
    let addresses: [String]
    do throws(ResolverError) {
      addresses = try await Resolver.addresses(of: endpoint.host, deadline: deadline)
    } catch {
      throw RedisError(.unavailable, error.description)
    }
    var failure = RedisError(.unavailable, "\(endpoint.host) has no address")
    for (index, address) in addresses.enumerated() {
      do throws(RedisError) {
        let share = Deadline.after(deadline.remaining / (addresses.count - index))
        return try await connect(to: address, of: endpoint, tls, limits, share)
      } catch {
        failure = error
      }
    }
    throw failure
  }

  private static func connect(
    to address: String, of endpoint: RedisEndpoint, _ tls: TLSHandshake?, _ limits: RedisConfiguration.Limits,
    _ deadline: Deadline
  ) async throws(RedisError) -> RedisConnection {
    let health = ConnectionHealth()
    let made = Awaited<NIOLoopBound<CommandHandler>>()
    let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(.milliseconds(Int64(max(1, deadline.remainingMilliseconds))))
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.socketOption(.so_keepalive), value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let tls { try channel.pipeline.syncOperations.addHandler(tls.handler(for: endpoint.host)) }
          let handler = try CommandHandler(limits: limits, health: health)
          try channel.pipeline.syncOperations.addHandler(handler)
          made.deliver(.success(NIOLoopBound(handler, eventLoop: channel.eventLoop)))
        }
      }
    do {
      let channel = try await bootstrap.connect(to: SocketAddress(ipAddress: address, port: endpoint.port)).get()
      // Not asked of the pipeline: a failed handshake may have emptied it, and the handler knows why.
      let handler = try await made.value()
      return RedisConnection(endpoint: endpoint, channel: channel, handler: handler, health: health, limits: limits)
    } catch {
      throw RedisError(.unavailable, "no connection to \(endpoint): \(reason(of: error))")
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

  func close() {
    health.fail()
    channel.close(promise: nil)
  }
}

extension RedisConnection {
  /// Logs in and chooses the database.
  func logIn(_ configuration: RedisConfiguration, until deadline: Deadline) async throws(RedisError) {
    var commands: [[String]] = []
    if let password = configuration.password {
      commands.append(Self.authentication(user: configuration.user, password: password))
    }
    commands.append(["SELECT", String(configuration.database)])
    do throws(RedisError) {
      for reply in try await send(commands, deadline: deadline) { _ = try reply.orThrow() }
    } catch {
      guard case .server = error.code else { throw error }
      throw RedisError(error.code, "login to \(endpoint): \(error.message); check the URL")
    }
  }

  static func authentication(user: String?, password: Secret) -> [String] {
    ["AUTH"] + (user.map { [$0] } ?? []) + [password.reveal()]
  }
}
