import Logging
import Platform
import Synchronization

/// A client with one pipelined connection, which is opened by the first command and again after it broke, to whichever
/// server is the primary then.
///
/// While connecting fails, attempts are spaced by `reconnectBackoff`: a command that comes too early waits for the
/// next attempt, within its deadline. Nothing is ever sent twice: whether to repeat a command is the caller's call.
package final class RedisClient: Sendable {
  private enum Link {
    case none
    case opening(waiting: [Awaited<RedisConnection>])
    case open(RedisConnection)
    case closed
  }
  private struct State {
    var link = Link.none
    var failures = 0
    var lastFailure: RedisError?
    var nextAttempt = Deadline.after(.zero)
  }

  package let configuration: RedisConfiguration
  private let locator: RedisLocator
  private let logger: Logger
  private let executor: (any TaskExecutor)?
  private let state = Mutex(State())

  /// - Parameters:
  ///   - admission: What a server must answer before it is used.
  ///   - executor: Where connecting runs; the shared pool if none is given. A client whose commands must not wait behind
  ///     busy tasks names an executor of its own.
  package init(
    configuration: RedisConfiguration, logger: Logger, admission: RedisAdmission? = nil,
    executor: (any TaskExecutor)? = nil
  ) {
    self.configuration = configuration
    locator = RedisLocator(configuration, admission: admission)
    self.logger = logger
    self.executor = executor
  }

  deinit {
    if case .open(let connection) = state.withLock({ $0.link }) { connection.close() }
  }

  /// Sends one command and returns its reply; an error reply is thrown as `.server`.
  ///
  /// - Parameter deadline: After it, the call fails with `.timedOut` and the connection is closed.
  package func send(_ command: [String], deadline: Deadline? = nil) async throws(RedisError) -> RedisValue {
    try await pipeline([command], deadline: deadline)[0].orThrow()
  }

  /// Sends all commands in one write; error replies are among the values.
  package func pipeline(_ commands: [[String]], deadline: Deadline? = nil) async throws(RedisError) -> [RedisValue] {
    if commands.isEmpty { return [] }
    let deadline = deadline ?? .after(configuration.commandTimeout)
    let connection = try await connection(deadline)
    return try await connection.send(commands, deadline: deadline)
  }

  /// Closes the connection: commands in flight fail with `.unavailable`, later ones with `.closed`.
  package func close() async {
    let link = state.withLock { state in
      defer { state.link = .closed }
      return state.link
    }
    switch link {
    case .open(let connection): connection.close()
    case .opening(let waiting): for waiter in waiting { waiter.deliver(.failure(Self.closed)) }
    case .none, .closed: break
    }
  }

  /// Gives up the connection, so that the next command looks for the primary anew: for a caller who knows better than
  /// the server that it is not the one any more. Commands in flight fail with `.unavailable`.
  package func reconnect() {
    let connection = state.withLock { state -> RedisConnection? in
      guard case .open(let connection) = state.link else { return nil }
      state.link = .none
      return connection
    }
    connection?.close()
  }

  private static let closed = RedisError(.closed, "the client was closed")
}

extension RedisClient {
  private enum Step {
    case use(RedisConnection)
    case fail(RedisError)
    case wait(Awaited<RedisConnection>, opens: Bool, from: Deadline)
  }

  private func connection(_ deadline: Deadline) async throws(RedisError) -> RedisConnection {
    switch nextStep(deadline) {
    case .use(let connection): return connection
    case .fail(let error): throw error
    case .wait(let waiter, let opens, let start):
      if opens { open(from: start) }
      return try await wait(for: waiter, deadline)
    }
  }

  private func nextStep(_ deadline: Deadline) -> Step {
    state.withLock { state in
      switch state.link {
      case .closed: return .fail(Self.closed)
      case .open(let connection) where connection.isUsable: return .use(connection)
      case .open, .none:
        if state.failures > 0, state.nextAttempt > deadline, let failure = state.lastFailure { return .fail(failure) }
        let waiter = Awaited<RedisConnection>()
        state.link = .opening(waiting: [waiter])
        return .wait(waiter, opens: true, from: state.nextAttempt)
      case .opening(let waiting):
        let waiter = Awaited<RedisConnection>()
        state.link = .opening(waiting: waiting + [waiter])
        return .wait(waiter, opens: false, from: deadline)
      }
    }
  }

  private func wait(for waiter: Awaited<RedisConnection>, _ deadline: Deadline) async throws(RedisError)
    -> RedisConnection
  {
    // Outlives this call by nothing: cancelled as soon as the connection is there.
    let timer = Task(executorPreference: executor) {
      try await Task.sleep(until: deadline.instant, clock: .continuous)
      waiter.deliver(
        .failure(RedisError(.timedOut, "no connection to \(self.configuration.endpoint) before the deadline")))
    }
    defer { timer.cancel() }
    return try await waiter.value()
  }

  private func open(from start: Deadline) {
    // Outlives the caller that asked first: others wait for the same connection. It ends with the connect timeout.
    Task(executorPreference: executor) {
      if !start.hasPassed {
        try? await Task.sleep(until: start.instant, clock: .continuous)  // best effort: nobody cancels this task
      }
      do throws(RedisError) {
        self.opened(try await self.locator.connect())
      } catch {
        self.failed(error)
      }
    }
  }

  private func opened(_ connection: RedisConnection) {
    let (waiting, wasFailing) = state.withLock { state -> ([Awaited<RedisConnection>]?, Bool) in
      guard case .opening(let waiting) = state.link else { return (nil, false) }
      state.link = .open(connection)
      defer { (state.failures, state.lastFailure) = (0, nil) }
      return (waiting, state.failures > 0)
    }
    guard let waiting else { return connection.close() }
    if wasFailing { logger.notice("Redis answers again", metadata: ["endpoint": "\(connection.endpoint)"]) }
    for waiter in waiting { waiter.deliver(.success(connection)) }
  }

  private func failed(_ error: RedisError) {
    let waiting = state.withLock { state -> [Awaited<RedisConnection>] in
      guard case .opening(let waiting) = state.link else { return [] }
      state.link = .none
      state.failures += 1
      state.lastFailure = error
      state.nextAttempt = .after(configuration.reconnectBackoff.delay(failures: state.failures))
      return waiting
    }
    for waiter in waiting { waiter.deliver(.failure(error)) }
  }
}
