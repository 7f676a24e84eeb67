import Foundation
import Glibc

/// What to start, as whom, and where its output goes.
package struct Launch: Sendable {
  /// An absolute path, or a name that is looked up on the PATH.
  package var executable: String
  package var arguments: [String]
  /// The whole environment; nil passes this process's own on.
  package var environment: [String: String]?
  /// Output and errors are appended to it; made with mode 0600. Nil discards them.
  package var logFile: String?
  /// Nil keeps this process's own.
  package var workingDirectory: String?
  /// Nil keeps this process's user.
  package var user: UnprivilegedUser?
  /// Sent by the kernel should this process die, by SIGKILL too, so that nothing is left behind.
  package var deathSignal: DeathSignal

  /// The signals that ask a server to end at once, by the name `setpriv(1)` knows them under.
  package enum DeathSignal: String, Sendable {
    /// PostgreSQL's fast shutdown. Its SIGTERM waits for clients to leave.
    case interrupt = "INT"
    case terminate = "TERM"
    case kill = "KILL"
  }

  package init(
    _ executable: String, _ arguments: [String] = [], environment: [String: String]? = nil, logFile: String? = nil,
    workingDirectory: String? = nil, user: UnprivilegedUser? = nil, deathSignal: DeathSignal = .terminate
  ) {
    self.executable = executable
    self.arguments = arguments
    self.environment = environment
    self.logFile = logFile
    self.workingDirectory = workingDirectory
    self.user = user
    self.deathSignal = deathSignal
  }

  /// What servers are given: nothing of the caller's settings or secrets.
  package static func bareEnvironment(_ additions: [String: String] = [:]) -> [String: String] {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
    return ["PATH": path, "LANG": "C.UTF-8", "TZ": "UTC"].merging(additions) { $1 }
  }

  /// The words handed to the system. `setpriv` changes the user and sets the death signal in the new process
  /// before it becomes the executable, so the pid is the executable's and no code of ours runs after a fork.
  func words() throws(LocalServersError) -> [String] {
    let setpriv = try Executable.find("setpriv")
    var words = [setpriv, "--pdeathsig=\(deathSignal.rawValue)"]
    if let user { words += ["--reuid=\(user.uid)", "--regid=\(user.gid)", "--clear-groups"] }
    words.append("--")
    if let workingDirectory { words += ["/bin/sh", "-c", Self.changeDirectory, workingDirectory] }
    return words + [try Executable.find(executable)] + arguments
  }

  /// Runs as the new user, so that a directory this user may not enter is refused there; `exec` keeps the pid.
  private static let changeDirectory = #"cd "$0" && exec "$@""#
}

/// Finds programs the way a shell does.
package enum Executable {
  /// Directories that hold system programs and are missing from some users' PATH.
  private static let systemDirectories = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]

  /// The absolute path of `name`; a name with a slash is only checked.
  package static func find(_ name: String) throws(LocalServersError) -> String {
    let candidates = name.contains("/") ? [name] : directories().map { "\($0)/\(name)" }
    if let path = candidates.first(where: { access($0, X_OK) == 0 }) { return path }
    throw LocalServersError(.notInstalled, "cannot find the program \"\(name)\": run ops/setup, which installs it")
  }

  static func directories() -> [String] {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    return path.split(separator: ":").map(String.init) + systemDirectories
  }
}
