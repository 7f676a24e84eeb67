import Foundation
import Glibc
import LocalServers
import Platform
import Testing

/// A directory below /tmp for one test, removed with all that is in it.
func withScratch(_ body: (String) async throws -> Void) async throws {
  let path = "/tmp/sluice-test-\(UUID().uuidString.prefix(8))"
  defer { _ = try? FileManager.default.removeItem(atPath: path) }
  try await body(path)
}

func withPostgres(
  settings: [String: String] = [:], _ body: (PrivatePostgres) async throws -> Void
) async throws {
  try await withScratch { path in
    let options = PrivatePostgres.Options(
      directory: path, installation: try await PostgresInstallation.find(), settings: settings, durable: false)
    let server = try await PrivatePostgres.start(options)
    try await finally(body, server) { await $0.stop(.immediate) }
  }
}

func withRedis(_ body: (PrivateRedis) async throws -> Void) async throws {
  try await withScratch { path in
    let server = try await PrivateRedis.start(.init(directory: path))
    try await finally(body, server) { await $0.kill() }
  }
}

private func finally<Server>(
  _ body: (Server) async throws -> Void, _ server: Server, _ end: (Server) async -> Void
) async throws {
  do {
    try await body(server)
    await end(server)
  } catch {
    await end(server)
    throw error
  }
}

/// What `psql` prints for one statement over the server's socket.
func query(_ server: PrivatePostgres, _ statement: String) async throws -> String {
  let psql = Launch(
    server.options.installation.program("psql"), ["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, server.url()],
    environment: Launch.bareEnvironment(["PGCONNECT_TIMEOUT": "5"]))
  let run = try await ToolRun.run(psql, deadline: .after(.seconds(20)))
  try #require(run.status.isSuccess, "\(run.output)")
  return run.output.trimmingCharacters(in: .whitespacesAndNewlines)
}

/// True as soon as `condition` is; false if it is not within ten seconds.
func eventually(_ condition: () -> Bool) async throws -> Bool {
  let deadline = Deadline.after(.seconds(10))
  while !condition() {
    if deadline.hasPassed { return false }
    // no event: processes of other processes end without telling
    try await Task.sleep(for: .milliseconds(10))
  }
  return true
}

/// A zombie that nobody has reaped yet counts as gone.
func isAlive(_ pid: pid_t) -> Bool {
  guard let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8) else { return false }
  return !status.contains("State:\tZ")
}

/// The user a process runs as.
func owner(of pid: pid_t) throws -> uid_t {
  let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
  let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("Uid:") })
  return try #require(uid_t(line.split(separator: "\t")[1]))
}
