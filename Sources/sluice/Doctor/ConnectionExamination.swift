import Databricks
import Enforcement
import Logging
import Metadata
import Platform

/// Whether each connection can be reached: token, instance state, login. Nothing is changed, and nobody is woken.
struct ConnectionExamination: Sendable {
  /// Connections that are tried at the same time.
  private static let width = 8
  /// For each of them.
  static let deadline: Duration = .seconds(10)
  private static let connectTimeout: Duration = .seconds(5)

  private let targets: Targets

  init(settings: Settings, metadata: MetadataDatabase) throws {
    var limits = TargetLimits()
    limits.connectTimeout = Self.connectTimeout
    targets = Targets(
      metadata: metadata, key: try settings.sealingKey(), caFile: settings[.caFile], limits: limits,
      logger: Logger(label: "sluice.targets"))
  }

  /// One finding a connection, in their order.
  func findings(_ connections: [Connection]) async -> [Finding] {
    await withTaskGroup(of: (Int, Finding).self) { group in
      var (found, next) = ([Int: Finding](), 0)
      for (index, connection) in connections.enumerated() {
        if next >= Self.width, let (place, finding) = await group.next() { found[place] = finding }
        group.addTask { (index, await finding(connection)) }
        next += 1
      }
      for await (place, finding) in group { found[place] = finding }
      return connections.indices.compactMap { found[$0] }
    }
  }

  private func finding(_ connection: Connection) async -> Finding {
    let check = "connection \(connection.name)"
    let remedy = "see: sluice connection check \(connection.name)"
    if connection.state == .inactive { return .ok(check, "inactive: nothing is done there") }
    do {
      return try await within(Self.deadline, "reaching \(connection.name)") {
        try await reach(connection, check)
      }
    } catch let error as TargetError where error.disposition == .stopped {
      return .warning(check, "\(error.message): its jobs wait", remedy: error.remedy)
    } catch let error as TargetError {
      return .error(check, error.message, remedy: "\(error.remedy); \(remedy)")
    } catch {
      return .error(check, "\(error)", remedy: remedy)
    }
  }

  private func reach(_ connection: Connection, _ check: String) async throws -> Finding {
    let state = try await targets.instanceState(of: connection)
    if state == .idle { return .ok(check, "asleep: a job wakes it") }
    if let state, !state.isConnectable {
      return .warning(
        check, "the instance is \(state): its jobs wait, and nothing counts against them",
        remedy: "start the instance, or: sluice connection deactivate \(connection.name)")
    }
    await (try await targets.open(connection)).close()
    guard [.unhealthy, .stopped].contains(connection.state) else { return .ok(check, "answers and lets Sluice in") }
    return .warning(
      check, "it answers, and is noted as \(connection.state.rawValue) since \(connection.stateSince)",
      remedy: "a scheduler probes it and wakes its lanes; see that one runs")
  }
}
