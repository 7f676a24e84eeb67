import Redis

/// Why the queue did not do what it was asked.
package struct JobQueueError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Code: Sendable, Hashable {
    /// Redis lost its memory (no epoch). Establish a new epoch and enqueue all unfinished jobs again.
    case epochLost
    /// The lease is not current: it expired and another worker may have the lane. Nothing was changed.
    case fenced
    /// As many jobs wait as may (`LaneQueue.Configuration.mostWaiting`), or Redis is at its `maxmemory`. They are safe in
    /// the ledger; offer them again after a while.
    case full
    /// Redis cannot be reached or did not answer in time; the call may or may not have taken effect. All calls may be
    /// repeated, but a lease that was not seen comes back only when it expires.
    case unavailable
    /// The calling task was cancelled; the call may or may not have taken effect.
    case cancelled
    /// Redis refused, or answered with something that is not ours; a retry does not help.
    case refused
  }

  package let code: Code
  package let message: String

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  package var description: String { "job queue: \(message)" }

  init(_ error: RedisError) {
    switch error.code {
    case .server(prefix: "EPOCHLOST"):
      self.init(.epochLost, "Redis has no memory of the queue; a scheduler fills it again from the metadata database")
    case .server(prefix: "FENCED"):
      self.init(.fenced, "the lease is no longer current: it expired, and its jobs wait again or run elsewhere")
    case .server(prefix: "FULL"): self.init(.full, "as many jobs wait in Redis as may; the rest stays in the ledger")
    case .server(prefix: "LOADING"), .server(prefix: "READONLY"), .server(prefix: "MASTERDOWN"),
      .server(prefix: "NOREPLICAS"), .server(prefix: "UNBLOCKED"), .server(prefix: "MISCONF"),
      .server(prefix: "TRYAGAIN"), .server(prefix: "BUSY"), .unavailable, .timedOut, .closed, .overloaded:
      self.init(.unavailable, error.message)
    case .server(prefix: "OOM"):
      self.init(
        .full, "Redis is out of memory, and what is in the ledger stays there; raise maxmemory (\(error.message))")
    case .cancelled: self.init(.cancelled, error.message)
    case .server, .configuration, .protocolViolation: self.init(.refused, error.message)
    }
  }
}
