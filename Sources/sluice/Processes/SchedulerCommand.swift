import ArgumentParser
import Cluster
import Platform

struct SchedulerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scheduler", abstract: "Hands jobs to Redis, probes instances, expires subscriptions; run two.",
    discussion: """
      Any number may run: one of them leads, the others take over when it is gone.

      Example: sluice scheduler --health :8081
      """)

  @Option(help: .init("How long SIGTERM waits for work (SLUICE_DRAIN_TIMEOUT).", valueName: "duration"))
  var drainTimeout: String?
  @Option(help: .init("Where /livez and /readyz are answered (SLUICE_HEALTH).", valueName: "host:port"))
  var health: String?
  @OptionGroup(title: "Settings") var options: SettingOptions

  /// Connections to the metadata database beside the two that it keeps.
  private static let connections = 4

  func run() async throws {
    let settings = try options.settings(
      requiring: [.metadataURL, .redisURL, .secretKeyFile],
      extra: [.drainTimeout: drainTimeout, .health: health])
    settings.startLogging()
    let parts = try await ProcessParts.open(settings, label: "sluice.scheduler", connections: Self.connections)
    var configuration = SchedulerConfiguration(name: ProcessParts.processName)
    configuration.outboxPoll = settings.duration(.outboxPoll)
    configuration.firstProbe = settings.duration(.firstProbe)
    configuration.longestProbe = settings.duration(.longestProbe)
    configuration.jobRetention = settings.duration(.jobRetention)
    configuration.deadRetention = settings.duration(.deadRetention)
    let scheduler = Scheduler(
      configuration: configuration, queue: parts.queue, ledger: parts.metadata,
      instanceState: { try await parts.targets.instanceState(of: $0) }, logger: parts.logger)
    try await parts.run(scheduler, progress: scheduler.progress)
  }
}
