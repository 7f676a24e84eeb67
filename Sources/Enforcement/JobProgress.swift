import Synchronization

/// How far jobs are that take long, for operators to see: nothing depends on it.
package final class JobProgress: Sendable {
  private let texts = Mutex<[Int64: String]>([:])

  package init() {}

  /// Of the jobs that run and have said something.
  package var all: [Int64: String] { texts.withLock { $0 } }

  package func note(_ job: Int64, _ text: String) { texts.withLock { $0[job] = text } }

  func forget(_ job: Int64) { _ = texts.withLock { $0.removeValue(forKey: job) } }
}
