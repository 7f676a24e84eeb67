import FoundationEssentials
import Platform

/// What a worker says of itself every few seconds; nothing depends on it but the view of operators.
package struct WorkerBeat: Sendable, Codable, Equatable {
  package static let usualIntervalSeconds = 5.0

  package var name: String
  package var host: String
  package var processID: Int32
  /// RFC 3339.
  package var startedAt: String
  package var version: String
  package var concurrency: Int
  package var classes: [String]
  /// Until its next beat.
  package var intervalSeconds: Double
  /// How far jobs are that take long, by their numbers; nil of a worker that does not tell.
  package var progress: [String: String]?

  package init(
    name: String, host: String, processID: Int32, startedAt: String, version: String, concurrency: Int,
    classes: [String], intervalSeconds: Double = usualIntervalSeconds
  ) {
    self.name = name
    self.host = host
    self.processID = processID
    self.startedAt = startedAt
    self.version = version
    self.concurrency = concurrency
    self.classes = classes
    self.intervalSeconds = intervalSeconds
  }
}

package struct WorkerStatus: Sendable {
  package let beat: WorkerBeat
  /// Since its last beat.
  package let silence: Duration
}
