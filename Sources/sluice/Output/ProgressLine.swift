import Foundation

/// How far long work has come, on standard error: a line that renews itself on a terminal, else one plain line now
/// and then.
struct ProgressLine {
  /// Between two plain lines.
  private static let plainInterval: Duration = .seconds(5)
  /// Between two renewals on a terminal.
  private static let terminalInterval: Duration = .milliseconds(100)

  private let total: Int
  private let what: String
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private var done = 0
  private var told = ContinuousClock.now
  private var hasTold = false

  init(total: Int, what: String) {
    self.total = total
    self.what = what
  }

  mutating func advance(by count: Int) {
    done += count
    let now = ContinuousClock.now
    guard now - told >= (isTerminal ? Self.terminalInterval : Self.plainInterval) else { return }
    told = now
    hasTold = true
    let line = "\(done) of \(total) \(what)"
    Output.standardError(isTerminal ? "\r\(line)\u{1b}[K" : line + "\n")
  }

  /// Wipes the line on a terminal: the answer says how it ended.
  func finish() {
    if isTerminal && hasTold { Output.standardError("\r\u{1b}[K") }
  }
}
