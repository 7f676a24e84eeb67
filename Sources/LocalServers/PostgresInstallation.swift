import Foundation
import Glibc
import Platform

/// A directory of PostgreSQL server programs.
package struct PostgresInstallation: Sendable, Hashable {
  /// The directory that holds `postgres`, `initdb` and `psql`.
  package let bin: String
  /// The major version: 17.
  package let version: Int

  package func program(_ name: String) -> String { "\(bin)/\(name)" }

  /// The newest installation of at least `version`; `SLUICE_POSTGRES_BIN` wins over all others.
  ///
  /// - Parameter preferred: a version that is taken before a newer one.
  package static func find(atLeast version: Int = 16, preferring preferred: Int? = nil) async throws
    -> PostgresInstallation
  {
    if let chosen = ProcessInfo.processInfo.environment["SLUICE_POSTGRES_BIN"], !chosen.isEmpty {
      return try await inspect(chosen, atLeast: version)
    }
    let fitting = await all().filter { $0.version >= version }
    if let found = fitting.first(where: { $0.version == preferred }) ?? fitting.first { return found }
    throw LocalServersError(
      .notInstalled,
      "no PostgreSQL \(version) or newer is installed: run ops/setup, or set SLUICE_POSTGRES_BIN to its bin directory")
  }

  /// The installation of just this version, wherever it is.
  package static func find(exactly version: Int) async throws -> PostgresInstallation {
    if let found = await all().first(where: { $0.version == version }) { return found }
    throw LocalServersError(
      .notInstalled, "PostgreSQL \(version) is not installed: run ops/setup --postgres \(version)")
  }

  /// Every installation of this machine, newest first; at one version the one that ops/setup made comes first.
  package static func all() async -> [PostgresInstallation] {
    var found: [PostgresInstallation] = []
    for bin in candidates() {
      guard let version = await version(of: bin) else { continue }
      found.append(PostgresInstallation(bin: bin, version: version))
    }
    let ranked = found.enumerated().sorted { ($1.element.version, $0.offset) < ($0.element.version, $1.offset) }
    return ranked.map(\.element)
  }

  private static func inspect(_ bin: String, atLeast version: Int) async throws -> PostgresInstallation {
    guard let actual = await self.version(of: bin) else {
      throw LocalServersError(
        .notInstalled, "SLUICE_POSTGRES_BIN is \(bin), which holds no postgres and initdb: unset it and run ops/setup")
    }
    guard actual >= version else {
      throw LocalServersError(
        .notInstalled,
        "SLUICE_POSTGRES_BIN is \(bin), PostgreSQL \(actual), and \(version) or newer is needed: run ops/setup, and unset it"
      )
    }
    return PostgresInstallation(bin: bin, version: actual)
  }

  private static func candidates() -> [String] {
    let environment = ProcessInfo.processInfo.environment
    let tools = [environment["SLUICE_TOOLS"], "/opt/sluice", environment["HOME"].map { "\($0)/.local/share/sluice" }]
    let versioned = tools.compactMap(\.self).flatMap { root in
      subdirectories(of: root).filter { $0.hasPrefix("postgresql-") }.map { "\(root)/\($0)/bin" }
    }
    let debian = "/usr/lib/postgresql"
    let packaged = subdirectories(of: debian).map { "\(debian)/\($0)/bin" }
    var seen: Set<String> = []
    return (versioned + packaged + Executable.directories()).filter { bin in
      hasServer(bin) && seen.insert(URL(fileURLWithPath: bin).resolvingSymlinksInPath().path).inserted
    }
  }

  private static func subdirectories(of path: String) -> [String] {
    // best effort: a place that is not there holds no installation
    ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
  }

  private static func hasServer(_ bin: String) -> Bool {
    ["postgres", "initdb"].allSatisfy { access("\(bin)/\($0)", X_OK) == 0 }
  }

  /// As `postgres --version` tells it: `postgres (PostgreSQL) 17.10`, or `18beta1` for the number.
  private static func version(of bin: String) async -> Int? {
    guard hasServer(bin) else { return nil }
    let launch = Launch("\(bin)/postgres", ["--version"], environment: Launch.bareEnvironment())
    // best effort: an installation that cannot tell its version is none
    guard let answer = try? await ToolRun.run(launch, deadline: .after(.seconds(10))), answer.status.isSuccess else {
      return nil
    }
    let number = answer.output.split(separator: " ").first { $0.first?.isNumber == true }
    return number.flatMap { Int($0.prefix { $0.isNumber }) }
  }
}
