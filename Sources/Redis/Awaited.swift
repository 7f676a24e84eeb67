import Synchronization

/// A result that one task awaits and somebody else delivers, once. A cancelled waiter is let go at once, and whatever
/// is delivered later is dropped.
final class Awaited<Value: Sendable>: Sendable {
  typealias Outcome = Result<Value, RedisError>
  private struct State {
    var outcome: Outcome?
    var continuation: CheckedContinuation<Outcome, Never>?
  }
  private let state = Mutex(State())

  func deliver(_ outcome: Outcome) {
    let waiter = state.withLock { state -> CheckedContinuation<Outcome, Never>? in
      guard state.outcome == nil else { return nil }
      state.outcome = outcome
      defer { state.continuation = nil }
      return state.continuation
    }
    waiter?.resume(returning: outcome)
  }

  func value() async throws(RedisError) -> Value {
    let outcome = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let early = state.withLock { state -> Outcome? in
          if state.outcome == nil { state.continuation = continuation }
          return state.outcome
        }
        if let early { continuation.resume(returning: early) }
      }
    } onCancel: {
      deliver(.failure(RedisError(.cancelled, "the caller was cancelled")))
    }
    return try outcome.get()
  }
}
