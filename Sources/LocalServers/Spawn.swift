import Foundation
import Glibc

/// One call of `posix_spawn(3)`.
///
/// Foundation's `Process` is not used: it learns of an exit when a socket that grandchildren inherit closes, so a
/// server's own children keep it waiting.
enum Spawn {
  /// Starts `launch` and returns its pid. The calling thread becomes the parent that its death signal watches.
  static func start(_ launch: Launch) throws(LocalServersError) -> pid_t {
    let words = try launch.words()
    let environment = launch.environment ?? ProcessInfo.processInfo.environment
    var pid: pid_t = 0
    let code = withActions(of: launch) { actions in
      withAttributes { attributes in
        withCStrings(words) { arguments in
          withCStrings(environment.map { "\($0)=\($1)" }) { variables in
            posix_spawn(&pid, words[0], actions, attributes, arguments, variables)
          }
        }
      }
    }
    guard code == 0 else {
      throw LocalServersError(.cannotStart, "cannot start \(launch.executable): \(String(cString: strerror(code)))")
    }
    return pid
  }

  /// Standard input from nowhere, output to the log, and no other descriptor of ours passed on.
  private static func withActions(
    of launch: Launch, _ body: (UnsafePointer<posix_spawn_file_actions_t>) -> Int32
  ) -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    let output = launch.logFile ?? "/dev/null"
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
    for descriptor in openDescriptors() { posix_spawn_file_actions_addclose(&actions, descriptor) }
    return body(&actions)
  }

  /// What is open beyond the three standard ones. One that closes meanwhile does no harm: glibc lets the new process
  /// go on when there is nothing to close.
  private static func openDescriptors() -> [Int32] {
    // best effort: without /proc only descriptors that are not close-on-exec, which ours all are, would pass
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return names.compactMap { Int32($0) }.filter { $0 > STDERR_FILENO }
  }

  /// A process group of its own, because Ctrl-C goes to the whole foreground group and the servers must outlive
  /// the orderly stop of what uses them; and default signals, because ignored ones are inherited.
  private static func withAttributes(_ body: (UnsafePointer<posix_spawnattr_t>) -> Int32) -> Int32 {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    let flags = Int32(POSIX_SPAWN_SETPGROUP) | Int32(POSIX_SPAWN_SETSIGDEF) | Int32(POSIX_SPAWN_SETSIGMASK)
    posix_spawnattr_setflags(&attributes, Int16(flags))
    return body(&attributes)
  }

  private static func withCStrings(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Int32
  ) -> Int32 {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    pointers.append(nil)
    return body(pointers)
  }
}
