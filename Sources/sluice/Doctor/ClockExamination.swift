import Foundation
import Metadata
import Platform
import Redis

/// How far the clocks are apart. No lease and no fence depends on it (time is each server's own); tokens, expiries and
/// what people read in logs do.
enum ClockExamination {
  /// From here on, times of different machines cannot be compared by eye.
  static let skewLimit: Duration = .seconds(2)
  /// From here on, tokens look expired or not yet valid, and subscriptions end at the wrong time.
  static let dangerousSkew: Duration = .seconds(60)

  /// A server's clock against this machine's, in seconds.
  struct Reading: Sendable, Equatable {
    /// Positive if the server is ahead.
    let offset: Double
    /// Half the round trip: the offset may be off by as much.
    let uncertainty: Double

    init(offset: Double, uncertainty: Double) {
      self.offset = offset
      self.uncertainty = uncertainty
    }

    /// Compares the server's answer with the middle of the call.
    init(_ clock: () async throws -> Double) async rethrows {
      let (before, began) = (Date().timeIntervalSince1970, ContinuousClock.now)
      let answer = try await clock()
      let half = began.duration(to: .now).inSeconds / 2
      self.init(offset: answer - (before + half), uncertainty: half)
    }
  }

  static func finding(_ name: String, _ reading: Reading) -> Finding {
    let apart = max(0, abs(reading.offset) - reading.uncertainty)
    let words =
      "\(name) and this machine are \((abs(reading.offset) * 1000).rounded() / 1000) s apart "
      + "(\(name) is \(reading.offset < 0 ? "behind" : "ahead"))"
    let remedy = "run a time service (chrony, systemd-timesyncd) on both"
    if apart > dangerousSkew.inSeconds { return .error("clock of \(name)", words, remedy: remedy) }
    return apart > skewLimit.inSeconds
      ? .warning("clock of \(name)", words, remedy: remedy)
      : .ok("clock of \(name)", "within \(DurationText.format(skewLimit)) of this machine's")
  }

  static func redis(_ client: RedisClient) async throws -> Finding {
    finding(
      "redis",
      try await Reading {
        let reply = try await client.send(["TIME"]).requireArray(atLeast: 2)
        return Double(try reply[0].requireInteger()) + Double(try reply[1].requireInteger()) / 1e6
      })
  }

  static func metadata(_ metadata: MetadataDatabase) async throws -> Finding {
    // Inside, so that waiting for a connection is no part of the round trip.
    try await metadata.read { session in
      finding("metadata database", try await Reading { try await session.clock() })
    }
  }
}
