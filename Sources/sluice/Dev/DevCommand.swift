import ArgumentParser
import Logging
import ServiceLifecycle

struct DevCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dev", abstract: "Everything on this machine: to try it, and to develop against.",
    discussion: """
      Starts a private Redis and PostgreSQL, a stand-in for a Databricks workspace with a Lakebase instance, migrates, \
      and runs a scheduler and workers. All of it lives under the state directory and listens on loopback only. \
      Ctrl-C stops all of it; started again it finds its data. DIR/env holds the settings for other terminals, \
      DIR/demo.json the facts for scripts; they are there once everything is ready.

      Example: sluice dev --demo
      """)

  @Option(help: .init("Where everything is kept.", valueName: "dir")) var state: String = DevDirectory.standard
  @Option(help: "How many worker processes.") var workers = 2
  @Flag(help: "Fill the instance with the marketing-data, research-data, cs-data example and register it as prod.")
  var demo = false
  @OptionGroup(title: "Settings") var options: SettingOptions

  func validate() throws {
    if !(1...64).contains(workers) { throw ValidationError("--workers is 1 to 64.") }
  }

  func run() async throws {
    let settings = try options.settings()
    settings.startLogging()
    let logger = Logger(label: "sluice.dev")
    let session = DevSession(
      directory: try DevDirectory(state), workers: workers, isDemo: demo, logLevel: settings.text(.logLevel),
      logger: logger)
    let group = ServiceGroup(
      configuration: .init(
        services: [
          .init(
            service: DevService(session: session), successTerminationBehavior: .gracefullyShutdownGroup,
            failureTerminationBehavior: .gracefullyShutdownGroup)
        ], gracefulShutdownSignals: [.sigint, .sigterm], logger: .quiet))
    try await group.run()
    logger.info("all stopped")
  }
}

/// Ends the session when the signal comes, and lets it stop everything in order.
private struct DevService: Service {
  let session: DevSession

  func run() async throws {
    do {
      try await cancelWhenGracefulShutdown { try await session.run() }
    } catch is CancellationError {
      // The signal came; everything is stopped.
    }
  }
}

extension Logger {
  /// For libraries whose own remarks are of no use to an operator.
  static var quiet: Logger {
    var logger = Logger(label: "sluice.services")
    logger.logLevel = .warning
    return logger
  }
}
