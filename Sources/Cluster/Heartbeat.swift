import Enforcement
import JobQueue
import Logging
import Platform

/// Says again and again that a worker lives, so that operators see it. Nothing else depends on it.
struct Heartbeat: Sendable {
  let beat: WorkerBeat
  let progress: JobProgress?
  let queue: any WorkQueue
  /// Of the renewals: a busy handler delays no beat.
  let surroundings: any Surroundings
  let logger: Logger

  /// After a beat that did not reach Redis.
  private static let retryPause: Duration = .seconds(1)

  /// Beats until it is cancelled, and then says that the worker is gone.
  func run() async {
    while !Task.isCancelled {
      var pause: Duration = .seconds(beat.intervalSeconds)
      var beat = beat
      beat.progress = progress.map { Dictionary(uniqueKeysWithValues: $0.all.map { ("\($0)", $1) }) }
      do { try await queue.beat(beat) } catch {
        // Leases and renewals report an outage. A Redis that is being filled is ready in a moment.
        logger.debug("a heartbeat did not reach Redis", metadata: ["error": "\(error)"])
        pause = min(pause, Self.retryPause)
      }
      // best effort: a cancelled wait ends at once, and so does the loop
      try? await surroundings.sleep(for: pause)
    }
    // The farewell must reach Redis although this task is cancelled. Ends with the call.
    await Task(executorPreference: surroundings.executor) {
      do { try await queue.leave(worker: beat.name) } catch {
        logger.debug("a farewell did not reach Redis", metadata: ["error": "\(error)"])
      }
    }.value
  }
}
