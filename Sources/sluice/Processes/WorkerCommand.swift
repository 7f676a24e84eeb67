import ArgumentParser
import Cluster
import Enforcement
import Foundation
import JobQueue
import Platform

struct WorkerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker", abstract: "Takes jobs and makes the targets follow; run any number of them.",
    discussion: """
      SIGTERM drains: leased work is finished within --drain-timeout, or given back, uncounted.

      Example: sluice worker --concurrency 16 --health :8081
      """,
    subcommands: [WorkerList.self])

  @Option(help: "Lanes worked side by side (SLUICE_CONCURRENCY).") var concurrency: String?
  @Option(help: .init("Of revoke, interactive, bulk; all by default (SLUICE_CLASSES).", valueName: "list"))
  var classes: String?
  @Option(help: "Jobs of a lane taken at once (SLUICE_BATCH_SIZE).") var batchSize: String?
  @Option(help: .init("About how long a batch may take (SLUICE_BATCH_TIME).", valueName: "duration"))
  var batchTime: String?
  @Option(help: .init("How long a lane outlives its worker (SLUICE_LEASE_TTL).", valueName: "duration"))
  var leaseTtl: String?
  @Option(help: .init("How long SIGTERM waits for work (SLUICE_DRAIN_TIMEOUT).", valueName: "duration"))
  var drainTimeout: String?
  @Option(help: .init("Where /livez and /readyz are answered (SLUICE_HEALTH).", valueName: "host:port"))
  var health: String?
  @OptionGroup(title: "Settings") var options: SettingOptions

  /// Connections to the metadata database beside one a batch.
  private static let spareConnections = 4

  func run() async throws {
    let settings = try options.settings(
      requiring: [.metadataURL, .redisURL, .secretKeyFile],
      extra: [
        .concurrency: concurrency, .classes: classes, .batchSize: batchSize, .batchTime: batchTime, .leaseTTL: leaseTtl,
        .drainTimeout: drainTimeout, .health: health,
      ])
    settings.startLogging()
    var configuration = WorkerConfiguration(name: ProcessParts.processName)
    configuration.concurrency = settings.integer(.concurrency)
    configuration.batchSize = settings.integer(.batchSize)
    configuration.batchTime = settings.duration(.batchTime)
    let names = Set(settings.list(.classes))
    configuration.classes = Set(JobClass.allCases.filter { names.contains($0.name) })
    configuration.beat = beat(configuration)
    let progress = JobProgress()
    configuration.progress = progress
    let parts = try await ProcessParts.open(
      settings, label: "sluice.worker", connections: configuration.concurrency + Self.spareConnections,
      leases: true)
    let worker = Worker(
      configuration: configuration, queue: parts.queue, ledger: parts.metadata,
      handler: LaneRun(
        metadata: parts.metadata, targets: parts.targets, worker: configuration.name, logger: parts.logger,
        syncLimits: settings.syncLimits, progress: progress),
      logger: parts.logger)
    try await parts.run(worker, progress: worker.progress)
  }

  private func beat(_ configuration: WorkerConfiguration) -> WorkerBeat {
    WorkerBeat(
      name: configuration.name, host: ProcessParts.hostName, processID: ProcessInfo.processInfo.processIdentifier,
      startedAt: Date().ISO8601Format(), version: Sluice.configuration.version,
      concurrency: configuration.concurrency, classes: configuration.classes.sorted().map(\.name))
  }
}
