internal import CLibpq
import Platform

extension Session {
  /// Statements that are under way at the same time: bounds the memory of both sides.
  private static let pipelineWindow = 256

  /// Runs statements one after another without waiting for each answer: all of them, or up to the first that fails.
  func pipeline(_ statements: [PostgresStatement]) throws(PostgresError) -> [PostgresResult] {
    if PQenterPipelineMode(try live()) != 1 { throw outOfStep("the connection is not ready for a pipeline") }
    var run = PipelineRun()
    while run.results.count < statements.count && run.failure == nil {
      // A cancel request between two statements is lost on the server; and what is left half done must not commit.
      if interruption != nil { throw abandoned() }
      try runWindow(statements, &run)
    }
    try leavePipeline(&run)
    if let failure = run.failure { throw failure }
    return run.results
  }

  private struct PipelineRun {
    var results: [PostgresResult] = []
    var failure: PostgresError?
  }

  private func runWindow(_ statements: [PostgresStatement], _ run: inout PipelineRun) throws(PostgresError) {
    let window = run.results.count..<min(run.results.count + Self.pipelineWindow, statements.count)
    do {
      for index in window { try send(statements[index]) }
    } catch {
      // What was handed over before would still run: give up the connection, so that nothing of it commits.
      close()
      throw error
    }
    if PQsendFlushRequest(try live()) != 1 { throw lost() }
    try flush()
    for index in window { try collect(statements[index], at: index, &run) }
  }

  /// Reads a statement's answer to its end.
  private func collect(_ statement: PostgresStatement, at index: Int, _ run: inout PipelineRun) throws(PostgresError) {
    while let outcome = try nextOutcome() {
      switch outcome {
      case .completed(let result): run.results.append(result)
      case .failed(let error):
        var named = naming(statement.sql, error)
        named.statementIndex = index
        run.failure = run.failure ?? named
      case .skipped: break
      default: throw outOfStep("a pipeline must not hold COPY")
      }
    }
  }

  /// Closes the pipeline; outside a transaction, this is where its statements commit.
  private func leavePipeline(_ run: inout PipelineRun) throws(PostgresError) {
    if PQpipelineSync(try live()) != 1 { throw lost() }
    try flush()
    var isSynchronized = false
    while !isSynchronized {
      switch try nextOutcome() {
      case .synchronized: isSynchronized = true
      case .failed(let error): run.failure = run.failure ?? error
      case .skipped, nil: break
      default: throw outOfStep("the pipeline did not end as it must")
      }
    }
    if PQexitPipelineMode(try live()) != 1 { throw outOfStep("the pipeline has results left") }
  }
}
