import ArgumentParser
import Cluster
import Foundation
import JobQueue
import Logging
import Metadata
import Platform
import Postgres
import Redis
import ServiceLifecycle

/// What the processes of a stage are told.
struct RoleOptions: ParsableArguments {
  @Option var redisPort: Int
  @Option var metadataUrl: String

  /// Opens the queue and the ledger as the product does, and runs a service until SIGTERM.
  func run(connections: Int, _ service: (LaneQueue, MetadataDatabase, Logger) -> any Service) async throws {
    LineLogHandler.bootstrap(format: .text, level: .warning)
    let logger = Logger(label: "sluice-bench")
    let (client, wakeClient, queue) = BenchRedis.connect(port: redisPort)
    let metadata = MetadataDatabase(
      configuration: try LedgerStage.configuration(metadataUrl), connections: connections)
    let group = ServiceGroup(
      configuration: .init(
        services: [.init(service: service(queue, metadata, logger))], gracefulShutdownSignals: [.sigterm],
        logger: logger))
    try await group.run()
    await client.close()
    await wakeClient.close()
    await metadata.shutDown()
  }
}

struct SchedulerRole: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "scheduler", shouldDisplay: false)
  @OptionGroup var options: RoleOptions

  func run() async throws {
    try await options.run(connections: 4) { queue, metadata, logger in
      Scheduler(
        configuration: SchedulerConfiguration(name: "scheduler"), queue: queue, ledger: metadata,
        instanceState: { _ in nil }, logger: logger)
    }
  }
}

struct WorkerRole: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "worker", shouldDisplay: false)
  @OptionGroup var options: RoleOptions
  @Option var name: String
  @Option var holdSeconds: Double = 0
  @Option var trace: String

  func run() async throws {
    let configuration = WorkerConfiguration(name: name)
    let handler = NoWork(hold: .seconds(holdSeconds), trace: try StartTrace(path: trace))
    try await options.run(connections: configuration.concurrency + 4) { queue, metadata, logger in
      Worker(configuration: configuration, queue: queue, ledger: metadata, handler: handler, logger: logger)
    }
  }
}

/// Completes every job with a result of 100 bytes, and does nothing else.
struct NoWork: BatchHandler {
  let hold: Duration
  let trace: StartTrace

  private static let result = "{\"note\": \"\(String(repeating: "r", count: Ceilings.payloadBytes - 12))\"}"

  func open(lane: Int64) async throws -> OpenedLane {
    OpenedLane(
      connection: 1,
      run: { jobs in
        trace.note(jobs.map(\.id))
        // no event: a batch that takes its time, so that its worker can be killed in the middle of it
        if hold > .zero { try await Task.sleep(for: hold) }
        return jobs.map { JobResult(id: $0.id, outcome: .completed, result: Self.result) }
      })
  }
}

/// Notes when jobs start, in a file that another process reads at the same time.
struct StartTrace: Sendable {
  private let file: FileHandle

  init(path: String) throws {
    guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path)
    else { throw BenchError("cannot write \(path)") }
    self.file = file
  }

  func note(_ jobs: [Int64]) {
    let now = monotonicNanoseconds()
    file.write(Data(jobs.map { "\($0) \(now)\n" }.joined().utf8))
  }
}
