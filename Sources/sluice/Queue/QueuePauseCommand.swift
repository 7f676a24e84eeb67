import ArgumentParser
import Metadata

struct QueuePause: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause", abstract: "Lets workers take nothing more, of a lane or at all; what they have goes on.",
    discussion: """
      A pause lasts until it is resumed, also when Redis is restarted or emptied. Pausing what is paused changes nothing.

      Example: sluice queue pause --lane prod/roles
      """)

  @OptionGroup var lane: PausedLane
  @OptionGroup var common: CommonOptions

  func run() async throws { try await lane.change(isPause: true, common) }
}

struct QueueResume: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Ends a pause of a lane, or that of the whole queue.",
    discussion: """
      Lanes that were paused by themselves stay so when the queue is resumed, and the other way round.

      Example: sluice queue resume
      """)

  @OptionGroup var lane: PausedLane
  @OptionGroup var common: CommonOptions

  func run() async throws { try await lane.change(isPause: false, common) }
}

/// What is paused or resumed.
struct PausedLane: ParsableArguments {
  @Option(help: .init("Only this lane: its number, or as listed, such as prod/roles.", valueName: "lane"))
  var lane: String?

  fileprivate func change(isPause: Bool, _ common: CommonOptions) async throws {
    try await common.settingOptions.withMetadata { metadata, settings in
      let (subject, isChange, isQueuePaused) = try await metadata.transaction { session in
        let found = if let lane { try await session.lane(named: lane) } else { nil as (lane: Lane, name: String)? }
        let isChange = try await Self.change(found?.lane.id, isPause: isPause, session)
        if isChange {
          try await session.audit(
            AuditEntry(
              actor: Operator.name, action: isPause ? "queue pause" : "queue resume",
              detail: found.map { ["lane": $0.name] } ?? [:]))
        }
        return (found?.name, isChange, try await session.queueRules().pause != nil)
      }
      let place = subject.map { "lane \($0)" } ?? "the queue"
      let told = try await RuleDelivery(settings: settings, metadata: metadata).deliver()
      try common.output.done(
        "\(place) is \(isPause ? "paused" : "not paused")" + (isChange ? "" : ", as it was before")
          + (subject != nil && isQueuePaused ? "; the whole queue is paused: sluice queue resume" : ""),
        [
          "lane": .optional(subject), "paused": .bool(isPause), "changed": .bool(isChange), "in_redis": .bool(told),
          "queue_paused": .bool(isQueuePaused),
        ])
    }
  }

  private static func change(_ lane: Int64?, isPause: Bool, _ session: MetadataSession) async throws -> Bool {
    switch (lane, isPause) {
    case (let lane?, true): try await session.pause(lane: lane, by: Operator.name)
    case (let lane?, false): try await session.resume(lane: lane)
    case (nil, true): try await session.pauseQueue(by: Operator.name)
    case (nil, false): try await session.resumeQueue()
    }
  }
}
