import Foundation

/// What sessions did in a target, from the server's log.
struct TargetWork: Sendable {
  /// What they wrote to the catalog: the transactions in the order of their commits, without what they only read.
  private(set) var script = ""
  /// Statements of the script.
  private(set) var count = 0
  /// Milliseconds in which the server read, planned and ran statements, but those of `looking`.
  private(set) var active = 0.0
  /// Milliseconds in which it looked what is left to those who left an audience, when their access had ended.
  private(set) var looking = 0.0
  private(set) var walBytes = 0.0
  private var open: [Substring: Transaction] = [:]

  /// What an open transaction wrote so far, and how much of that before each of its open savepoints.
  private struct Transaction {
    var written: [String] = []
    var savepoints: [Int] = []
  }

  private static let writes = [
    "GRANT ", "REVOKE ", "CREATE ROLE ", "DROP ROLE ", "ALTER ROLE ", "COMMENT ON ROLE ", "SET ROLE ", "RESET ROLE",
  ]
  private static let looks = ["-- Target: by which routes", "-- Target: the roles $1 by what they could"]
  private static let changesOfRole = ["SET ROLE ", "RESET ROLE"]

  init() {}

  /// - Parameters:
  ///   - log: lines that begin with the session's process and user; those that do not belong to the one before
  ///   - user: whose sessions count
  init(log: Substring, of user: String, walBytes: Double) {
    self.walBytes = walBytes
    var entry: Entry?
    for line in log.split(separator: "\n") {
      if line.first == "\t" {
        entry?.text += "\n" + line.dropFirst()
        continue
      }
      if let entry, entry.user == user { note(entry) }
      entry = Entry(line)
    }
    if let entry, entry.user == user { note(entry) }
  }

  /// `4711 user LOG:  duration: 0.123 ms  statement: GRANT …`, or `execute <unnamed>: GRANT …`, or `parse` and `bind`.
  private struct Entry {
    let session: Substring
    let user: Substring
    let milliseconds: Double
    /// Whether the statement ran, and was not only read or planned.
    let isRun: Bool
    var text: String

    init?(_ line: Substring) {
      guard
        let match = line.prefixMatch(
          of: #/(\d+) (\S+) LOG:  duration: ([\d.]+) ms  (statement|execute|parse|bind)(?: [^:]*)?: /#)
      else { return nil }
      (session, user) = (match.output.1, match.output.2)
      milliseconds = Double(match.output.3) ?? 0
      isRun = match.output.4 == "statement" || match.output.4 == "execute"
      text = String(line[match.range.upperBound...])
    }
  }

  private mutating func note(_ entry: Entry) {
    if Self.looks.contains(where: entry.text.hasPrefix) {
      looking += entry.milliseconds
    } else {
      active += entry.milliseconds
    }
    if entry.isRun { note(entry.text, of: entry.session) }
  }

  private mutating func note(_ text: String, of session: Substring) {
    let start = text.prefix(32).uppercased()
    if start.hasPrefix("BEGIN") || start.hasPrefix("START TRANSACTION") {
      open[session] = Transaction()
    } else if start.hasPrefix("COMMIT") {
      add(open.removeValue(forKey: session)?.written ?? [])
    } else if start == "ROLLBACK" {
      open[session] = nil
    } else if start.hasPrefix("SAVEPOINT SLUICE") {
      let written = open[session]?.written.count ?? 0
      open[session]?.savepoints.append(written)
    } else if start.hasPrefix("RELEASE SAVEPOINT SLUICE") {
      _ = open[session]?.savepoints.popLast()
    } else if start.hasPrefix("ROLLBACK TO SAVEPOINT SLUICE") {
      // What was written since is gone; the same script releases the savepoint.
      if let kept = open[session]?.savepoints.popLast() { open[session]?.written.removeSubrange(kept...) }
    } else if Self.writes.contains(where: start.hasPrefix) {
      if open[session] == nil { add([text]) } else { open[session]?.written.append(text) }
    }
  }

  private mutating func add(_ transaction: [String]) {
    let writes = transaction.filter { text in !Self.changesOfRole.contains { text.uppercased().hasPrefix($0) } }
    guard !writes.isEmpty else { return }
    count += writes.count
    script += "BEGIN;\n" + transaction.map { $0 + ";\n" }.joined() + "COMMIT;\n"
  }
}
