import ArgumentParser
import Foundation
import JobQueue
import Metadata
import Platform
import Postgres
import Redis

/// Turns an error into the exit status and the message of the contract; the only place that does, and the only one
/// where the process ends once it has threads.
enum Ending {
  /// Ends the process after success.
  static func end() -> Never { leave(ExitStatus.done.rawValue) }

  /// Writes `sluice: …` to standard error, or help to standard output, and ends the process.
  static func end(with error: any Error) -> Never {
    if isForTheParser(error) {
      let text = Sluice.fullMessage(for: error)
      let status = Sluice.exitCode(for: error)
      if !text.isEmpty { tell(text + "\n", asAnswer: status.isSuccess) }
      leave(status.rawValue)
    }
    Output.standardError("sluice: \(message(of: error))\n")
    leave(status(of: error).rawValue)
  }

  private static func tell(_ text: String, asAnswer isAnswer: Bool) {
    guard isAnswer else { return Output.standardError(text) }
    // best effort: help that nobody can read changes nothing
    try? Output.standardOutput(text)
  }

  /// Ends the process without the exit handlers of the C libraries.
  ///
  /// Threads of libpq, libcurl and the resolver may be about to end, and nobody waits for those that block in the
  /// system. OpenSSL's handler frees what each thread frees at its own end, without a lock ("double free or
  /// corruption (fasttop)", once in some hundred commands). Whatever has to be closed or removed has been by now.
  private static func leave(_ status: Int32) -> Never {
    fflush(nil)
    _exit(status)
  }

  /// Help asked for, a plain exit status, or a fault that is shown with the usage.
  private static func isForTheParser(_ error: any Error) -> Bool {
    error is CleanExit || error is ExitCode || error is ValidationError || Sluice.exitCode(for: error) == .success
  }

  static func message(of error: any Error) -> String {
    switch error {
    case is CancellationError: "interrupted"
    case let error as PostgresError where error.sqlState == .invalidCatalogName:
      "the metadata database: \(error.message) (\(error.endpoint)); create it, then run: sluice migrate"
    case let error as RedisError where isLoginFailure(error):
      "\(error) (SLUICE_REDIS_URL: its user, password and database)"
    case let error as JobQueueError where error.code == .epochLost:
      "the queue is being refilled: \(error.message); ask again in a moment, and see that a scheduler runs"
    default: "\(error)"
    }
  }

  static func status(of error: any Error) -> ExitStatus {
    switch error {
    case let failure as CommandFailure: failure.status
    case is SettingsFault: .wrongUsage
    case let error as MetadataError: error.code == .notFound ? .notFound : .failed
    case let error as PostgresError: status(of: error)
    case let error as RedisError: isLoginFailure(error) ? .unreachable : status(of: error.code)
    case let error as JobQueueError:
      error.code == .unavailable || error.code == .epochLost ? .unreachable : .failed
    case let error as PoolError: error.code == .timedOut ? .unreachable : .failed
    default: .failed
    }
  }

  /// Only the metadata database is spoken to directly; trouble with a target comes as an error of Enforcement.
  private static func status(of error: PostgresError) -> ExitStatus {
    // It has to be created, or to start again, or to let somebody in again.
    let isAway =
      [.invalidCatalogName, .cannotConnectNow, .adminShutdown, .crashShutdown].contains(error.sqlState)
      || error.sqlState.map { SQLState.Class.insufficientResources ~= $0 } == true
    if isAway { return .unreachable }
    return switch error.code {
    case .resolve, .connect, .tls, .authentication, .connectionLost, .timedOut: .unreachable
    case .configuration: .wrongUsage
    default: .failed
    }
  }

  private static func status(of code: RedisError.Code) -> ExitStatus {
    switch code {
    case .unavailable, .timedOut: .unreachable
    default: .failed
    }
  }

  /// Whatever Redis answers to a login, nobody got in.
  private static func isLoginFailure(_ error: RedisError) -> Bool {
    guard case .server = error.code else { return false }
    return error.message.hasPrefix("login to ")
  }
}
