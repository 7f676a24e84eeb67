import Foundation
import Glibc

/// What the process says on standard error when a signal ends it while it waits for something.
enum LastWords {
  private static let signals = [SIGINT, SIGTERM, SIGHUP]
  /// `unsafe`, but sound: set before the handler that reads it, by one task, and never freed, because the handler may
  /// run at any moment.
  nonisolated(unsafe) private static var text: UnsafeMutablePointer<CChar>?

  static func set(_ words: String) {
    text = strdup("\n\(words)\n")
    for number in signals where !isIgnored(number) {
      // Only what is safe in a signal handler; the process then ends by the same signal, as it would have.
      signal(number) { number in
        if let text = LastWords.text { _ = Glibc.write(STDERR_FILENO, text, strlen(text)) }
        signal(number, SIG_DFL)
        raise(number)
      }
    }
  }

  static func unset() {
    for number in signals where !isIgnored(number) { signal(number, SIG_DFL) }
  }

  /// As `nohup` has it.
  private static func isIgnored(_ number: Int32) -> Bool {
    var known = sigaction()
    sigaction(number, nil, &known)
    return unsafeBitCast(known.__sigaction_handler.sa_handler, to: Int.self) == 1
  }
}
