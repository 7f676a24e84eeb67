import ArgumentParser
import Enforcement
import Governance
import Metadata

/// A part of the targets in which a command reads, and changes nothing.
struct TargetPart: ParsableArguments {
  @Argument(
    help: .init("A connection, database, schema or table; everything without it.", valueName: "path"),
    transform: PathText.parse)
  var path: SecurablePath?

  /// Reads one connection after the other: the path's, or all that are neither inactive nor being deleted.
  func read<Value: Sendable>(
    _ common: CommonOptions, _ body: @Sendable (Planner, Connection) async throws -> [Value]
  ) async throws -> [Value] {
    try await common.settingOptions.withMetadata(requiring: [.secretKeyFile]) { metadata, settings in
      let connections = try await metadata.read { session in
        if let path {
          try await session.requireExistence(of: path)
          return [try await session.connection(named: path.connection)]
        }
        return try await session.connections().filter { $0.state != .inactive && $0.state != .deleting }
      }
      return try await settings.withTargets(metadata) { targets in
        let planner = Planner(metadata: metadata, targets: targets)
        var values: [Value] = []
        for connection in connections { values += try await body(planner, connection) }
        return values
      }
    }
  }
}
