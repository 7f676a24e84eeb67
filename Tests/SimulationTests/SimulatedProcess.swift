import Platform

/// A process of the simulation: its tasks run here, and stop running when it is stopped or killed.
///
/// `@unchecked`: see `World`.
final class SimulatedProcess: TaskExecutor, Surroundings, @unchecked Sendable {
  enum Condition { case running, stopped, dead }

  let name: String
  let world: World
  private(set) var condition = Condition.running
  private(set) var hasEnded = false
  private var held: [UnownedJob] = []
  private var task: Task<Void, Never>?
  private var sessions: [Int: () -> Void] = [:]
  private var lastSession = 0

  init(_ name: String, in world: World) {
    self.name = name
    self.world = world
  }

  // Tasks.
  func enqueue(_ job: consuming ExecutorJob) { take(UnownedJob(job)) }

  private func take(_ job: UnownedJob) {
    switch condition {
    case .running: world.enqueue(job, of: self)
    case .stopped: held.append(job)
    case .dead: break
    }
  }

  /// Runs a job that was ready, unless the process has been stopped or killed since.
  func run(_ job: UnownedJob) {
    guard condition == .running else { return take(job) }
    job.runSynchronously(on: asUnownedTaskExecutor())
  }

  // Surroundings.
  var executor: (any TaskExecutor)? { self }
  var now: ContinuousClock.Instant { world.instant }
  func random() -> UInt64 { world.random.next() }
  func undelayed(_ name: String) -> any Surroundings { self }

  // no event: it sleeps in the time of the simulation
  func sleep(for duration: Duration) async throws {
    let reply = Reply<Bool>()
    world.after(duration.microseconds) { reply.set(true) }
    guard await reply.get(orWhenCancelled: false) else { throw CancellationError() }
  }
}

// Its life.
extension SimulatedProcess {
  func start(_ main: @escaping @Sendable () async throws -> Void) {
    task = Task(executorPreference: self) {
      do { try await main() } catch {
        self.world.violate("\(self.name) ended with \(error)")
      }
      self.hasEnded = true
    }
  }

  /// SIGTERM without patience: all that it does is cancelled.
  func cancel() { task?.cancel() }

  /// SIGSTOP.
  func stop() { if condition == .running { condition = .stopped } }

  /// SIGCONT.
  func goOn() {
    guard condition == .stopped else { return }
    condition = .running
    for job in held { world.enqueue(job, of: self) }
    held = []
  }

  /// SIGKILL, or the machine is gone: others may find out late.
  func kill() {
    guard condition != .dead, !hasEnded else { return }
    condition = .dead
    held = []
    for id in sessions.keys.sorted() {
      guard let end = sessions[id] else { continue }
      world.after(world.happens(0.7) ? .milliseconds(world.draw(0...10)) : .seconds(world.draw(0...90)), end)
    }
  }

  /// Notes a session elsewhere, which ends when the process is gone; returns how to forget it.
  func hold(_ end: @escaping () -> Void) -> @Sendable () -> Void {
    lastSession += 1
    let id = lastSession
    sessions[id] = end
    return { self.sessions[id] = nil }
  }
}

/// What one task waits for; whoever comes first sets it.
///
/// `@unchecked`: see `World`.
final class Reply<Value: Sendable>: @unchecked Sendable {
  private var value: Value?
  private var continuation: UnsafeContinuation<Value, Never>?

  func set(_ value: Value) {
    guard self.value == nil else { return }
    self.value = value
    continuation?.resume(returning: value)
    continuation = nil
  }

  func get(orWhenCancelled other: Value) async -> Value {
    await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        if let value { continuation.resume(returning: value) } else { self.continuation = continuation }
      }
    } onCancel: {
      set(other)
    }
  }
}

extension Duration {
  var microseconds: Int { Int(components.seconds) * 1_000_000 + Int(components.attoseconds / 1_000_000_000_000) }
}
