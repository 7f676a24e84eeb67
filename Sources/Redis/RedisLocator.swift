import Platform
import Synchronization

/// Finds the server that takes writes, and connects to it.
///
/// With Sentinels it does what Redis asks of clients (redis.io, "Guidelines for Redis clients with support for Redis
/// Sentinel"): they are asked in turn, and the server that one names must say itself that it is a primary, because a
/// Sentinel that was cut off knows only an old one. Nothing is remembered but which Sentinel was right: after each lost
/// connection they are asked again.
final class RedisLocator: Sendable {
  private let configuration: RedisConfiguration
  private let admission: RedisAdmission?
  /// The one that was right comes first; in the beginning in random order, to spread clients.
  private let order: Mutex<[RedisEndpoint]>

  init(_ configuration: RedisConfiguration, admission: RedisAdmission?) {
    self.configuration = configuration
    self.admission = admission
    guard case .watched(let sentinels) = configuration.place else {
      order = Mutex([])
      return
    }
    order = Mutex(sentinels.endpoints.shuffled())
  }

  /// Connects and logs in, within the configuration's `connectTimeout`.
  func connect() async throws(RedisError) -> RedisConnection {
    let deadline = Deadline.after(configuration.connectTimeout)
    var tls: TLSHandshake?
    if let settings = configuration.tls { tls = try TLSHandshake(settings) }
    switch configuration.place {
    case .server(let endpoint): return try await logIn(endpoint, tls, until: deadline)
    case .watched(let sentinels): return try await find(sentinels, tls, until: deadline)
    }
  }

  private func logIn(
    _ endpoint: RedisEndpoint, _ tls: TLSHandshake?, until deadline: Deadline
  ) async throws(RedisError) -> RedisConnection {
    try await using(endpoint, tls, until: deadline) { connection throws(RedisError) in
      try await connection.logIn(configuration, until: deadline)
      try await admit(connection, until: deadline)
    }
  }

  private func admit(_ connection: RedisConnection, until deadline: Deadline) async throws(RedisError) {
    guard let admission else { return }
    try admission.check(try await connection.send(admission.commands, deadline: deadline))
  }

  /// Opens a connection, which is closed again if `body` fails.
  private func using(
    _ endpoint: RedisEndpoint, _ tls: TLSHandshake?, until deadline: Deadline,
    _ body: (RedisConnection) async throws(RedisError) -> Void
  ) async throws(RedisError) -> RedisConnection {
    let connection = try await RedisConnection.open(endpoint, tls: tls, limits: configuration.limits, until: deadline)
    do throws(RedisError) {
      try await body(connection)
      return connection
    } catch {
      connection.close()
      throw error
    }
  }
}

// By way of Sentinels.
extension RedisLocator {
  private func find(
    _ sentinels: RedisSentinels, _ tls: TLSHandshake?, until deadline: Deadline
  ) async throws(RedisError) -> RedisConnection {
    var failures: [(from: RedisEndpoint, error: RedisError)] = []
    var named: Set<RedisEndpoint> = []
    let order = order.withLock { $0 }
    for (index, sentinel) in order.enumerated() {
      // A server that does not answer must not use up the time of the Sentinels that know better.
      let share = Deadline.after(deadline.remaining / (order.count - index))
      do throws(RedisError) {
        let primary = try await ask(sentinel, sentinels, tls, until: min(share, .after(sentinels.answerTimeout)))
        guard named.insert(primary).inserted else { continue }
        let connection = try await connectToPrimary(primary, tls, until: share)
        prefer(sentinel)
        return connection
      } catch {
        failures.append((sentinel, error))
      }
    }
    throw Self.nowhere(sentinels.primary, failures)
  }

  private func ask(
    _ sentinel: RedisEndpoint, _ sentinels: RedisSentinels, _ tls: TLSHandshake?, until deadline: Deadline
  ) async throws(RedisError) -> RedisEndpoint {
    var answer: RedisValue = .null
    let connection = try await using(sentinel, tls, until: deadline) { connection throws(RedisError) in
      answer = try await address(of: sentinels, from: connection, until: deadline)
    }
    connection.close()
    if answer.isNull {
      throw RedisError(
        .unavailable, "it watches no primary of the name \(sentinels.primary); check the name in the URL")
    }
    let parts = try answer.requireArray(atLeast: 2)
    return RedisEndpoint(host: try parts[0].requireText(), port: Int(try parts[1].requireInteger()))
  }

  private func address(
    of sentinels: RedisSentinels, from connection: RedisConnection, until deadline: Deadline
  ) async throws(RedisError) -> RedisValue {
    let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinels.primary]
    if let password = sentinels.password {
      let login = RedisConnection.authentication(user: sentinels.user, password: password)
      return try await Self.last(of: connection.send([login, question], deadline: deadline))
    }
    let reply = try await connection.send([question], deadline: deadline)[0]
    guard case .error(let error) = reply, error.prefix == "NOAUTH", let password = configuration.password else {
      return try reply.orThrow()
    }
    let login = RedisConnection.authentication(user: configuration.user, password: password)
    return try await Self.last(of: connection.send([login, question], deadline: deadline))
  }

  private static func last(of replies: [RedisValue]) throws(RedisError) -> RedisValue {
    var last: RedisValue = .null
    for reply in replies { last = try reply.orThrow() }
    return last
  }

  private func connectToPrimary(
    _ endpoint: RedisEndpoint, _ tls: TLSHandshake?, until deadline: Deadline
  ) async throws(RedisError) -> RedisConnection {
    try await using(endpoint, tls, until: deadline) { connection throws(RedisError) in
      try await connection.logIn(configuration, until: deadline)
      let role = try await connection.send([["ROLE"]], deadline: deadline)[0].requireArray(atLeast: 1)[0].requireText()
      guard role == "master" else {
        throw RedisError(.unavailable, "\(endpoint), which it names, is no primary (role \(role))")
      }
      try await admit(connection, until: deadline)
    }
  }

  private func prefer(_ sentinel: RedisEndpoint) {
    order.withLock { order in
      order.removeAll { $0 == sentinel }
      order.insert(sentinel, at: 0)
    }
  }

  /// A refusal of the primary itself, such as of the password, keeps its code: waiting does not help against it.
  private static func nowhere(
    _ name: String, _ failures: [(from: RedisEndpoint, error: RedisError)]
  ) -> RedisError {
    let texts = failures.map { "Sentinel \($0.from): \($0.error.message)" }.joined(separator: "; ")
    let isRefused: (RedisError) -> Bool = { if case .server = $0.code { true } else { false } }
    let code = failures.map(\.error).first(where: isRefused)?.code ?? .unavailable
    return RedisError(code, "the primary \(name) cannot be found or reached: \(texts)")
  }
}
