import Cluster
import Glibc
import JobQueue
import Platform
import SluiceTestKit
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(2)))
struct LeaseRenewalTests {
  /// Handlers that block the threads of the pool for longer than a lease lasts.
  @Test func aLeaseOutlivesBlockedHandlers() async throws {
    try await ClusterBench.run(leaseTTL: .milliseconds(900)) { cluster in
      let ana = try await cluster.bench.makeSales()
      try await cluster.bench.subscribe(ana, to: ["sales.orders"])
      let lease = try await cluster.running([cluster.scheduler()]) { try await cluster.lease(as: "busy") }
      let renewal = LeaseRenewal(queue: cluster.queue, logger: Bench.quiet)
      let losses = Mutex(0)
      renewal.keep(lease) { losses.withLock { $0 += 1 } }
      await withTaskGroup(of: Void.self) { group in
        group.addTask(executorPreference: renewal.executor) { await renewal.run() }
        await withTaskGroup(of: Void.self) { handlers in
          // no event: the sleep is what is tested, handlers that block the threads of the pool
          for _ in 0..<4 { handlers.addTask { _ = usleep(1_000_000) } }
        }
        group.cancelAll()
      }
      #expect(losses.withLock { $0 } == 0)
      #expect(try await cluster.queue.extend(lease), "Redis has given the lane to somebody else")
    }
  }

  @Test func aLeaseThatRedisForgotIsLostOnce() async throws {
    try await ClusterBench.run(leaseTTL: .milliseconds(300)) { cluster in
      let ana = try await cluster.bench.makeSales()
      try await cluster.bench.subscribe(ana, to: ["sales.orders"])
      let lease = try await cluster.running([cluster.scheduler()]) { try await cluster.lease(as: "busy") }
      let renewal = LeaseRenewal(queue: cluster.queue, logger: Bench.quiet)
      let (losses, lost) = AsyncStream<Void>.makeStream()
      renewal.keep(lease) { lost.yield() }
      try await cluster.redis.flush()
      await withTaskGroup(of: Void.self) { group in
        group.addTask(executorPreference: renewal.executor) { await renewal.run() }
        var iterator = losses.makeAsyncIterator()
        await iterator.next()
        group.cancelAll()
      }
      lost.finish()
    }
  }

  @Test func aLeaseIsLostWhenRedisStaysAwayLongerThanItLasts() async throws {
    try await ClusterBench.run(leaseTTL: .milliseconds(300)) { cluster in
      let ana = try await cluster.bench.makeSales()
      try await cluster.bench.subscribe(ana, to: ["sales.orders"])
      let lease = try await cluster.running([cluster.scheduler()]) { try await cluster.lease(as: "busy") }
      let renewal = LeaseRenewal(queue: cluster.queue, logger: Bench.quiet)
      let (losses, lost) = AsyncStream<Void>.makeStream()
      renewal.keep(lease) { lost.yield() }
      await cluster.redis.kill()
      await withTaskGroup(of: Void.self) { group in
        group.addTask(executorPreference: renewal.executor) { await renewal.run() }
        var iterator = losses.makeAsyncIterator()
        await iterator.next()
        group.cancelAll()
      }
      lost.finish()
    }
  }
}
