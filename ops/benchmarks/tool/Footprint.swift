import JobQueue

/// What waiting jobs cost: bytes of Redis, and time of whoever asks for `stats`.
enum Footprint {
  private static let lanes = 1000
  private static let readings = 20

  static let waiting = BenchCase<QueueRun>(
    name: "memory", summary: "bytes of Redis that a waiting job takes, over 1, 10 and 1,000 lanes"
  ) { run in
    let count = run.scale.queueJobs
    var figures: [Measurement] = []
    for lanes in QueueCases.laneCounts {
      let bytes = try await run.withRedis { redis in
        let before = try await redis.meter().dataBytes
        try await QueueAlone.enqueue(QueueAlone.jobs(count, from: 1, lanes: lanes), in: redis.queue)
        return try await redis.meter().dataBytes - before
      }
      figures.append(Measurement("memory/lanes=\(lanes)", bytes / Double(count), "bytes/job"))
    }
    return figures
  }

  static let stats = BenchCase<QueueRun>(
    name: "stats", summary: "cost of stats while more and more jobs wait in 1,000 lanes"
  ) { run in
    try await run.withRedis { redis in
      var figures: [Measurement] = []
      var added = 0
      for count in run.scale.waiting {
        try await QueueAlone.enqueue(QueueAlone.jobs(count - added, from: added + 1, lanes: lanes), in: redis.queue)
        added = count
        figures += try await cost("stats/waiting=\(count)", in: redis)
      }
      return figures
    }
  }

  static let parkedStats = BenchCase<QueueRun>(
    name: "parked/stats", summary: "cost of stats while 10,000 lanes are parked"
  ) { run in
    try await run.withRedis { redis in
      try await QueueAlone.park(run.scale.parkedLanes, in: redis)
      return try await cost("parked/stats", in: redis)
    }
  }

  private static func cost(_ name: String, in redis: BenchRedis) async throws -> [Measurement] {
    let before = try await redis.meter()
    var waits: [Double] = []
    for _ in 0..<readings {
      let began = ContinuousClock.now
      _ = try await redis.queue.stats()
      waits.append(began.duration(to: .now).seconds * 1e3)
    }
    let spent = try await redis.meter().scriptMicroseconds - before.scriptMicroseconds
    return [
      Measurement("\(name)/redis", spent / Double(readings) / 1e3, "ms"),
      Measurement("\(name)/call", median(waits), "ms"),
    ]
  }
}
