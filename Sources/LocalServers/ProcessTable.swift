import Foundation
import Glibc

/// What `/proc` tells about processes that this one did not start itself.
enum ProcessTable {
  static func exists(_ pid: pid_t) -> Bool { kill(pid, 0) == 0 || errno == EPERM }

  /// The pids whose parent is `pid` at this moment.
  static func children(of pid: pid_t) -> [pid_t] {
    // best effort: without /proc there are no children to name, and callers only pause or await them
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { pid_t($0) }.filter { parent(of: $0) == pid }
  }

  /// The directory that `pid` works in; nil when it is gone or belongs to somebody else.
  static func workingDirectory(of pid: pid_t) -> String? {
    // best effort: a process that cannot be looked at is not one of ours
    try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")
  }

  /// The second field after the command, whose own name may hold blanks and parentheses (proc(5)).
  private static func parent(of pid: pid_t) -> pid_t? {
    // best effort: it may have ended since it was listed
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return nil }
    guard let end = text.lastIndex(of: ")") else { return nil }
    let fields = text[text.index(after: end)...].split(separator: " ")
    return fields.count > 1 ? pid_t(fields[1]) : nil
  }
}
