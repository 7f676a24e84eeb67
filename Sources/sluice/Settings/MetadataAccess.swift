import Foundation
import Metadata
import Platform
import Postgres

/// The metadata database as commands use it: opened, checked, and closed again whatever happens.
extension SettingOptions {
  /// Connections that a short command may hold at the same time.
  private static let commandConnections = 3

  /// Opens the metadata database for `body`.
  ///
  /// - Parameter required: further settings that the command needs.
  /// - Throws: what is wrong with the settings or the version of the database, before `body` runs.
  func withMetadata<Value: Sendable>(
    requiring required: [SettingKey] = [], extra: [SettingKey: String?] = [:],
    _ body: (MetadataDatabase, Settings) async throws -> Value
  ) async throws -> Value {
    let settings = try settings(requiring: [.metadataURL] + required, extra: extra)
    settings.startLogging()
    let metadata = MetadataDatabase(
      configuration: try settings.metadataConfiguration(), connections: Self.commandConnections)
    do {
      try await metadata.read { try await Schema.requireCurrent($0) }
      let value = try await body(metadata, settings)
      await metadata.shutDown()
      return value
    } catch {
      await metadata.shutDown()
      throw error
    }
  }
}

extension SettingOptions {
  /// As above; but if the database cannot be reached and `isUseful`, `body` runs without it and tells what is known
  /// elsewhere, and then the command fails all the same.
  func withMetadata(
    requiring required: [SettingKey], elseWithout isUseful: Bool,
    _ body: (MetadataDatabase?, Settings) async throws -> Void
  ) async throws {
    do { try await withMetadata(requiring: required) { try await body($0, $1) } } catch
      where isUseful && MetadataDatabase.isOutage(error)
    {
      try await body(nil, try settings(requiring: required))
      throw CommandFailure(.unreachable, "what the ledger knows is not told: \(Ending.message(of: error))")
    }
  }
}

extension Settings {
  func metadataConfiguration() throws -> PostgresConfiguration {
    var configuration = try PostgresConfiguration(url: secret(.metadataURL), applicationName: "sluice")
    if configuration.tls == .verifyFull(caFile: nil) { configuration.tls = .verifyFull(caFile: self[.caFile]) }
    return configuration
  }

  func sealingKey() throws -> SealingKey { try SealingKey(file: text(.secretKeyFile)) }

  func startLogging() { LineLogHandler.bootstrap(format: logFormat, level: logLevel) }
}

/// Who the audit trail says did it: the user of the operating system that ran the command.
enum Operator {
  static let name = "cli:\(ProcessInfo.processInfo.environment["SUDO_USER"] ?? NSUserName())"
}
