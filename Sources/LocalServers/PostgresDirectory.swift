import Foundation
import Glibc
import Platform

/// The directories of one private PostgreSQL and what must be true in them before it starts.
struct PostgresDirectory: Sendable {
  let root: String
  let user: UnprivilegedUser?

  var data: String { "\(root)/data" }
  var sockets: String { "\(root)/socket" }
  var log: String { "\(root)/postgres.log" }

  /// Linux's limit for the path of a Unix socket, less its final zero.
  static let socketPathLimit = 107
  /// How long a postmaster that an earlier run left behind may take to end: its death signal has been sent.
  static let predecessorGrace = Duration.seconds(15)

  private var pidFile: String { "\(data)/postmaster.pid" }

  /// Makes the directories, and refuses a path whose socket no client could name.
  func prepare(port: Int) throws(LocalServersError) {
    let socket = "\(sockets)/.s.PGSQL.\(port)"
    guard socket.utf8.count <= Self.socketPathLimit else {
      throw LocalServersError(
        .unusableDirectory,
        "directory \(root) is too long for a Unix socket (\(socket.utf8.count) bytes with the socket's name, "
          + "\(Self.socketPathLimit) at most); choose a shorter state directory, for example below /tmp")
    }
    for path in [root, data, sockets] { try PrivateDirectory.make(path, for: user) }
  }

  /// Makes the database files if there are none: beside their place, so that an interrupted attempt is seen.
  func initialise(with installation: PostgresInstallation, superuser: String, durable: Bool) async throws {
    if FileManager.default.fileExists(atPath: "\(data)/PG_VERSION") { return try checkVersion(installation) }
    var arguments = ["-U", superuser, "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust"]
    if !durable { arguments.append("--no-sync") }
    try await fill(with: installation, "initdb", arguments)
  }

  /// Makes the database files a copy of a running server's, which the copy then follows as its standby.
  func follow(
    socket: String, port: Int, with installation: PostgresInstallation, superuser: String
  ) async throws {
    if FileManager.default.fileExists(atPath: "\(data)/PG_VERSION") { return try checkVersion(installation) }
    let place = ["-h", socket, "-p", String(port), "-U", superuser]
    try await fill(with: installation, "pg_basebackup", place + ["--write-recovery-conf", "-c", "fast", "--no-sync"])
  }

  private func fill(with installation: PostgresInstallation, _ program: String, _ arguments: [String]) async throws {
    let unfinished = "\(root)/data.unfinished"
    // best effort: it is there only after an interrupted attempt, and the program refuses what cannot be removed
    try? FileManager.default.removeItem(atPath: unfinished)
    let launch = Launch(
      installation.program(program), ["-D", unfinished] + arguments, environment: Launch.bareEnvironment(),
      workingDirectory: root, user: user)
    let run = try await ToolRun.run(launch, deadline: .after(.seconds(60)))
    guard run.status.isSuccess else {
      throw LocalServersError(
        .cannotStart, "\(program) could not fill \(unfinished) (\(run.status))",
        logTail: String(run.output.suffix(2_000)))
    }
    guard rename(unfinished, data) == 0 else {
      throw LocalServersError(
        .unusableDirectory, "\(data) is not empty and holds no database: choose another directory")
    }
  }

  /// Whoever can enter the 0700 socket directory is trusted; over TCP a password is asked for.
  func writeAccessRules() throws {
    let rules = """
      local all all trust
      local replication all trust
      host all all 127.0.0.1/32 scram-sha-256

      """
    let path = "\(data)/pg_hba.conf"
    try rules.write(toFile: path, atomically: false, encoding: .utf8)
    if let user, chown(path, user.uid, user.gid) != 0 {
      throw LocalServersError(.unusableDirectory, "\(path) cannot be given to user \"\(user.name)\"")
    }
  }

  /// Sees to it that no other postmaster works on the files.
  ///
  /// PostgreSQL itself believes a stale `postmaster.pid` when its pid has gone to another process of the same user,
  /// which happens after a reboot or in a container; the working directory tells the two apart.
  func awaitPredecessor() async throws {
    let deadline = Deadline.after(Self.predecessorGrace)
    while let pid = recordedPid() {
      guard ProcessTable.workingDirectory(of: pid) == realData else { break }
      guard !deadline.hasPassed else {
        throw LocalServersError(
          .directoryInUse, "PostgreSQL (process \(pid)) already works in \(root): stop it or choose another directory")
      }
      try await Task.sleep(for: .milliseconds(50))
    }
    unlink(pidFile)
  }

  /// True once the postmaster `pid` says that it takes connections, the way `pg_ctl` learns it.
  func isReady(_ pid: pid_t) -> Bool {
    let lines = pidFileLines()
    guard lines.count >= 8, pid_t(lines[0]) == pid else { return false }
    return lines[7].hasPrefix("ready") || lines[7].hasPrefix("standby")
  }

  private var realData: String { URL(fileURLWithPath: data).resolvingSymlinksInPath().path }

  private func recordedPid() -> pid_t? { pidFileLines().first.flatMap { pid_t($0) } }

  private func pidFileLines() -> [String] {
    // best effort: it is there only while a postmaster runs
    let text = (try? String(contentsOfFile: pidFile, encoding: .utf8)) ?? ""
    return text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  private func checkVersion(_ installation: PostgresInstallation) throws {
    let text = try String(contentsOfFile: "\(data)/PG_VERSION", encoding: .utf8)
    let version = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard version == String(installation.version) else {
      throw LocalServersError(
        .unusableDirectory,
        "\(data) was made by PostgreSQL \(version) and \(installation.bin) is \(installation.version): "
          + "set SLUICE_POSTGRES_BIN to a PostgreSQL \(version), or start with an empty directory")
    }
  }
}
