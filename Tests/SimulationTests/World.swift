import Glibc
import Platform
import QueueModelKit
import RandomTestKit

/// What happens in one simulation: one thread, a clock that jumps from event to event, and chance from one seed.
///
/// `@unchecked`: everything here, and every simulated service and process, is touched on the thread that calls `run`,
/// and on no other; `enqueue` ends the program if anything left the simulation.
final class World: @unchecked Sendable {
  let seed: UInt64
  let mutation: Mutation?
  /// Microseconds since the beginning.
  private(set) var now = 0
  var random: SeededGenerator
  var faults = Faults()
  var mishap: (SimulatedProcess) -> Void = { _ in }
  /// What happened, in order, if it is kept.
  private(set) var trace: [String]?
  private(set) var violations: [String] = []
  private let thread = pthread_self()
  private static let longestTrace = 1_000_000
  private let beginning = ContinuousClock.now
  private var ready: [(job: UnownedJob, process: SimulatedProcess)] = []
  private var events = EventHeap()

  init(seed: UInt64, mutation: Mutation? = nil, keepsTrace: Bool = false) {
    self.seed = seed
    self.mutation = mutation
    random = SeededGenerator(seed: seed)
    trace = keepsTrace ? [] : nil
  }

  var instant: ContinuousClock.Instant { beginning.advanced(by: .microseconds(now)) }

  func after(_ microseconds: Int, _ action: @escaping () -> Void) {
    events.insert(at: now + max(0, microseconds), action)
  }

  func enqueue(_ job: UnownedJob, of process: SimulatedProcess) {
    precondition(pthread_equal(pthread_self(), thread) != 0, "a task left the simulation")
    ready.append((job, process))
  }

  /// Runs what is ready, in an order drawn by the seed; when nothing is, the clock jumps to the next event.
  func run(until isOver: () -> Bool) {
    while !isOver(), violations.isEmpty {
      if ready.isEmpty {
        guard let event = events.removeFirst() else { return violate("nothing is left to happen") }
        now = max(now, event.time)
        event.action()
      } else {
        let next = Int.random(in: 0..<ready.count, using: &random)
        ready.swapAt(next, ready.count - 1)
        let (job, process) = ready.removeLast()
        process.run(job)
      }
    }
  }

  /// Notes that a promise was broken; the simulation ends.
  func violate(_ what: String) {
    note("VIOLATION \(what)")
    violations.append(what)
  }

  func note(_ line: @autoclosure () -> String) {
    if let count = trace?.count, count < Self.longestTrace { trace?.append("\(Double(now) / 1e6) \(line())") }
  }

  func happens(_ probability: Double) -> Bool {
    probability > 0 && Double.random(in: 0..<1, using: &random) < probability
  }

  func draw(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &random) }

  func draw<Value>(_ values: [Value]) -> Value { values[.random(in: 0..<values.count, using: &random)] }
}

extension Int {
  static func milliseconds(_ count: Int) -> Int { count * 1000 }
  static func seconds(_ count: Int) -> Int { count * 1_000_000 }
}

/// How likely it is that a call goes wrong, by what becomes of it.
struct Faults {
  var lostRequest = 0.0
  var lostReply = 0.0
  /// The caller has given up when it takes effect.
  var lateRequest = 0.0
  /// It takes effect a second time, later.
  var repeated = 0.0
  /// It takes seconds instead of milliseconds.
  var slow = 0.0
  /// Microseconds that a slow question or answer takes at most.
  var slowest = Int.seconds(8)
  /// The caller is stopped or killed between the call and its answer.
  var mishap = 0.0
}

/// Events by time; of the same time in the order in which they were inserted.
private struct EventHeap {
  struct Event {
    let time: Int
    let order: Int
    let action: () -> Void
  }
  private var heap: [Event] = []
  private var count = 0

  private func isBefore(_ left: Int, _ right: Int) -> Bool {
    (heap[left].time, heap[left].order) < (heap[right].time, heap[right].order)
  }

  mutating func insert(at time: Int, _ action: @escaping () -> Void) {
    count += 1
    heap.append(Event(time: time, order: count, action: action))
    var child = heap.count - 1
    while child > 0, isBefore(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func removeFirst() -> Event? {
    guard !heap.isEmpty else { return nil }
    heap.swapAt(0, heap.count - 1)
    let first = heap.removeLast()
    var parent = 0
    while true {
      let children = [2 * parent + 1, 2 * parent + 2].filter { $0 < heap.count }
      guard let least = children.min(by: isBefore), isBefore(least, parent) else { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
