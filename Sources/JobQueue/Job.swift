import Platform

/// A job as the queue knows it: a number of the ledger, and where it runs.
package struct QueuedJob: Sendable, Hashable {
  /// Job numbers have at most fifteen digits: they sort as text, and Lua's numbers hold them exactly.
  package static let numbers: ClosedRange<Int64> = 1...999_999_999_999_999

  package let number: Int64
  package let lane: LaneID
  package let jobClass: JobClass
  package let kind: JobKind
  /// How long from now until it waits; nil for at once.
  package let delay: Duration?

  package init(number: Int64, lane: LaneID, jobClass: JobClass, kind: JobKind, delay: Duration? = nil) {
    precondition(Self.numbers.contains(number), "a job number has at most fifteen digits")
    self.number = number
    self.lane = lane
    self.jobClass = jobClass
    self.kind = kind
    self.delay = delay
  }

  /// As the scripts know a job of a lane: class digit, number, letter of the kind.
  package var text: String { String(jobClass.rawValue) + Self.text(of: number) + String(kind.letter) }

  static func text(of number: Int64) -> String { zeroPadded(number, width: 15) }
  static let textLength = 17

  init?(_ text: Substring, lane: LaneID) {
    guard text.utf8.count == Self.textLength, let digit = text.first?.wholeNumberValue,
      let jobClass = JobClass(rawValue: digit), let kind = text.last.flatMap(JobKind.init(letter:)),
      let number = Int64(text.dropFirst().dropLast()), Self.numbers.contains(number)
    else { return nil }
    self.init(number: number, lane: lane, jobClass: jobClass, kind: kind)
  }
}

/// What became of a leased job, as far as the queue is concerned.
package enum Settlement: Sendable, Hashable {
  package enum Outcome: String, Sendable { case completed, discarded, cancelled }
  /// It leaves the queue.
  case done(Outcome)
  /// It waits again after a while: retryable or snoozed.
  case again(after: Duration)
  /// It waits again at once.
  case back

  var text: String {
    switch self {
    case .done(let outcome): outcome.rawValue
    case .again(let delay): String(max(0, delay.wholeMilliseconds))
    case .back: "returned"
    }
  }
}
