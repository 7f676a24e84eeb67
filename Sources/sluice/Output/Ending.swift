import ArgumentParser
import Foundation
import JobQueue
import Metadata
import Platform
import Postgres
import Redis

/// Turns an error into the exit status and the message of the contract; the only place that does.
enum Ending {
  /// Writes `sluice: …` to standard error and ends the process.
  static func end(with error: any Error) -> Never {
    if isForTheParser(error) { Sluice.exit(withError: error) }
    Output.standardError("sluice: \(message(of: error))\n")
    exit(status(of: error).rawValue)
  }

  /// Help asked for, a plain exit status, or a fault that is shown with the usage.
  private static func isForTheParser(_ error: any Error) -> Bool {
    error is CleanExit || error is ExitCode || error is ValidationError || Sluice.exitCode(for: error) == .success
  }

  static func message(of error: any Error) -> String {
    if error is CancellationError { return "interrupted" }
    return "\(error)"
  }

  static func status(of error: any Error) -> ExitStatus {
    switch error {
    case let failure as CommandFailure: failure.status
    case is SettingsFault: .wrongUsage
    case let error as MetadataError: error.code == .notFound ? .notFound : .failed
    case let error as PostgresError: status(of: error)
    case let error as RedisError: status(of: error.code)
    case let error as JobQueueError: error.code == .unavailable ? .unreachable : .failed
    case let error as PoolError: error.code == .timedOut ? .unreachable : .failed
    default: .failed
    }
  }

  /// Only the metadata database is spoken to directly; trouble with a target comes as an error of Enforcement.
  private static func status(of error: PostgresError) -> ExitStatus {
    switch error.code {
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
}
