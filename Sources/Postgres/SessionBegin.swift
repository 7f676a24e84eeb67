internal import CLibpq
import Platform

// A transaction begins with its first statement: the BEGIN waits for it, and both go in one round trip.
extension Session {
  /// Runs the statement that `send` hands to libpq, and in front of it the BEGIN that waits.
  func run(_ send: () throws(PostgresError) -> Void) throws(PostgresError) -> PostgresResult {
    guard let begin = waitingBegin else {
      try send()
      try flush()
      return try onlyResult()
    }
    waitingBegin = nil
    if PQenterPipelineMode(try live()) != 1 { throw outOfStep("the connection is not ready for a BEGIN") }
    do {
      try self.send(PostgresStatement(begin))
      try send()
    } catch {
      // The BEGIN was handed over already, and the pipeline is open.
      close()
      throw error
    }
    if PQpipelineSync(try live()) != 1 { throw lost() }
    try flush()
    return try lastResult()
  }

  /// Reads a pipeline to its end and leaves it; returns the last result, or throws the first error.
  private func lastResult() throws(PostgresError) -> PostgresResult {
    var last: PostgresResult?
    var failed: PostgresError?
    var isSynchronized = false
    while !isSynchronized {
      switch try nextOutcome() {
      case .synchronized: isSynchronized = true
      case .completed(let result): last = result
      case .failed(let error): failed = failed ?? error
      case .skipped, nil: break
      default: throw outOfStep("the statement asks for a COPY; use copyIn or copyOut")
      }
    }
    if PQexitPipelineMode(try live()) != 1 { throw outOfStep("the pipeline has results left") }
    if let failed { throw failed }
    guard let last else { throw outOfStep("the server sent no result") }
    return last
  }

  /// For what cannot go in one round trip with a BEGIN.
  func beginNow() throws(PostgresError) {
    guard let begin = waitingBegin else { return }
    waitingBegin = nil
    _ = try execute(begin)
  }
}
