import Foundation

/// What sessions wrote to a target's catalog, from the server's log: the transactions in the order of their commits,
/// without what they only read.
struct SentStatements: Sendable {
  private(set) var script = ""
  private(set) var count = 0
  /// What open transactions wrote so far, by session; and whether the last statement of a session was such a write.
  private var open: [Substring: [String]] = [:]
  private var endsInWrite: [Substring: Bool] = [:]

  private static let writes = [
    "GRANT ", "REVOKE ", "CREATE ROLE ", "DROP ROLE ", "ALTER ROLE ", "COMMENT ON ROLE ", "SET LOCAL ROLE ",
    "RESET ROLE",
  ]
  private static let changesOfRole = ["SET LOCAL ROLE ", "RESET ROLE"]

  /// - Parameter log: lines that begin with the session's process and a blank; those that do not belong to the one before
  init(log: Substring) {
    var entry: (session: Substring, text: String)?
    for line in log.split(separator: "\n") {
      if line.first == "\t" {
        entry?.text += "\n" + line.dropFirst()
        continue
      }
      if let entry { note(entry.text, of: entry.session) }
      entry = Self.statement(line)
      if let refused = line.prefixMatch(of: #/(\d+) ERROR:  /#) { forgetLast(of: refused.output.1) }
    }
    if let entry { note(entry.text, of: entry.session) }
  }

  /// `4711 LOG:  statement: GRANT …`, or `execute <unnamed>: GRANT …`; nil for other lines.
  private static func statement(_ line: Substring) -> (Substring, String)? {
    guard let match = line.prefixMatch(of: #/(\d+) LOG:  (?:statement|execute [^:]*): /#) else { return nil }
    return (match.output.1, String(line[match.range.upperBound...]))
  }

  private mutating func note(_ text: String, of session: Substring) {
    let start = text.prefix(24).uppercased()
    let isWrite = Self.writes.contains(where: start.hasPrefix)
    endsInWrite[session] = isWrite
    if start.hasPrefix("BEGIN") || start.hasPrefix("START TRANSACTION") {
      open[session] = []
    } else if start.hasPrefix("COMMIT") {
      add(open.removeValue(forKey: session) ?? [])
    } else if start == "ROLLBACK" {
      open[session] = nil
    } else if isWrite {
      if open[session] == nil { add([text]) } else { open[session]?.append(text) }
    }
  }

  /// What was refused was rolled back to its savepoint.
  private mutating func forgetLast(of session: Substring) {
    if endsInWrite[session] == true { _ = open[session]?.popLast() }
    endsInWrite[session] = false
  }

  private mutating func add(_ transaction: [String]) {
    let writes = transaction.filter { text in !Self.changesOfRole.contains { text.uppercased().hasPrefix($0) } }
    guard !writes.isEmpty else { return }
    count += writes.count
    script += "BEGIN;\n" + transaction.map { $0 + ";\n" }.joined() + "COMMIT;\n"
  }
}
