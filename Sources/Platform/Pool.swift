/// Why a pool gave nothing out.
package struct PoolError: Error, Sendable, CustomStringConvertible {
  package enum Code: Sendable { case timedOut, tooManyWaiting, closed }
  package let code: Code
  package let pool: String

  package var description: String {
    switch code {
    case .timedOut: "no free connection in the pool \(pool) within the deadline; raise its limit or lower the load"
    case .tooManyWaiting: "too many callers wait for the pool \(pool)"
    case .closed: "the pool \(pool) is closed"
    }
  }
}

/// A bounded set of reusable resources, lent out one caller at a time, first come first served.
package actor Pool<Resource: Sendable> {
  package struct Limits: Sendable {
    /// Resources at the same time.
    package var size: Int
    /// Callers that may wait at the same time; one more is refused at once.
    package var waiting: Int
    /// How long a caller waits when it names no deadline.
    package var wait: Duration

    package init(size: Int, waiting: Int = 10_000, wait: Duration = .seconds(30)) {
      precondition(size > 0, "a pool needs room for one")
      self.size = size
      self.waiting = waiting
      self.wait = wait
    }
  }

  private let name: String
  private let limits: Limits
  private let make: @Sendable (Deadline) async throws -> Resource
  private let isUsable: @Sendable (Resource) async -> Bool
  private let close: @Sendable (Resource) async -> Void

  private var idle: [Resource] = []
  private var open = 0
  private var isClosed = false
  private var nextWaiter: UInt64 = 0
  private var waiters: [(id: UInt64, continuation: CheckedContinuation<Void, any Error>)] = []

  package init(
    name: String, limits: Limits,
    make: @escaping @Sendable (Deadline) async throws -> Resource,
    isUsable: @escaping @Sendable (Resource) async -> Bool,
    close: @escaping @Sendable (Resource) async -> Void
  ) {
    self.name = name
    self.limits = limits
    self.make = make
    self.isUsable = isUsable
    self.close = close
  }

  /// Lends a resource to `body`; it comes back whatever happens, and is closed if it is no longer usable.
  package nonisolated func withResource<Value: Sendable>(
    deadline: Deadline? = nil, _ body: @Sendable (Resource) async throws -> Value
  ) async throws -> Value {
    let resource = try await take(deadline: deadline ?? .after(limits.wait))
    do {
      let value = try await body(resource)
      await giveBack(resource)
      return value
    } catch {
      await giveBack(resource)
      throw error
    }
  }

  /// Closes idle resources and refuses further callers; resources that are lent are closed when they come back.
  package func shutDown() async {
    isClosed = true
    let (callers, resources) = (waiters, idle)
    waiters = []
    idle = []
    open -= resources.count
    for caller in callers { caller.continuation.resume(throwing: PoolError(code: .closed, pool: name)) }
    for resource in resources { await close(resource) }
  }

  private func take(deadline: Deadline) async throws -> Resource {
    while true {
      if Task.isCancelled {
        // A turn that came just now belongs to the next in the queue.
        wakeOne()
        throw CancellationError()
      }
      if isClosed { throw PoolError(code: .closed, pool: name) }
      if let resource = idle.popLast() {
        if await isUsable(resource) { return resource }
        await discard(resource)
        continue
      }
      if open < limits.size {
        open += 1
        do { return try await make(deadline) } catch {
          open -= 1
          wakeOne()
          throw error
        }
      }
      try await waitForTurn(until: deadline)
    }
  }

  private func giveBack(_ resource: Resource) async {
    if isClosed { return await discard(resource) }
    if await isUsable(resource) {
      if isClosed { return await discard(resource) }
      idle.append(resource)
      wakeOne()
    } else {
      await discard(resource)
    }
  }

  private func discard(_ resource: Resource) async {
    open -= 1
    wakeOne()
    await close(resource)
  }

  private func wakeOne() {
    guard !waiters.isEmpty else { return }
    waiters.removeFirst().continuation.resume()
  }

  private func waitForTurn(until deadline: Deadline) async throws {
    if waiters.count >= limits.waiting { throw PoolError(code: .tooManyWaiting, pool: name) }
    let id = nextWaiter
    nextWaiter += 1
    // Outlives the wait by nothing: cancelled below as soon as the turn has come.
    let timer = Task {
      try await Task.sleep(until: deadline.instant, clock: .continuous)
      self.fail(id, with: PoolError(code: .timedOut, pool: name))
    }
    defer { timer.cancel() }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { waiters.append((id, $0)) }
    } onCancel: {
      // The handler is synchronous; the hop to the actor needs a task, which ends at once.
      Task { await self.fail(id, with: CancellationError()) }
    }
  }

  private func fail(_ id: UInt64, with error: any Error) {
    guard let index = waiters.firstIndex(where: { $0.id == id }) else { return }
    waiters.remove(at: index).continuation.resume(throwing: error)
  }
}
