import ArgumentParser
import Metadata

struct QueueTune: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune", abstract: "Sets the share of a connection or lane, and how many lanes work side by side.",
    discussion: """
      Weights are shares of the turns: a connection of weight 3 gets three times the jobs of one of weight 1 while both \
      have work, and so do the lanes of one connection among themselves. --max-lanes bounds how many lanes of a \
      connection are worked side by side; revokes do not wait for the others, they may have as many lanes again. With \
      --all it holds for every connection that has no number of its own, and `--max-lanes default` takes a \
      connection's own number away. See what holds with: sluice queue stats --by connection

      Example: sluice queue tune --connection prod --weight 3 --max-lanes 8
      """)

  @Option(help: .init("This lane: its number, or as listed, such as prod/roles.", valueName: "lane")) var lane: String?
  @Option(help: .init("This connection.", valueName: "connection")) var connection: String?
  @Flag(help: "All connections without a number of their own.") var all = false
  @Option(help: .init("Its share, 1 to 1000; 1 unless told otherwise.", valueName: "number")) var weight: Int?
  @Option(help: .init("Lanes side by side, 1 to 10000, or default.", valueName: "number"), transform: LaneLimit.init)
  var maxLanes: LaneLimit?
  @OptionGroup var common: CommonOptions

  /// A number of lanes, or what holds for all.
  struct LaneLimit: Sendable {
    let count: Int?

    init(_ text: String) throws {
      count = text == "default" ? nil : Int(text)
      if text != "default" && !(count.map(StoredQueueRules.laneCounts.contains) ?? false) {
        throw ValidationError("\"\(text)\" is not a number from 1 to 10000, nor default.")
      }
    }
  }

  func validate() throws {
    if [lane != nil, connection != nil, all].count(where: \.self) != 1 {
      throw ValidationError("Give one of --lane, --connection and --all.")
    }
    if weight == nil && maxLanes == nil { throw ValidationError("Give --weight, --max-lanes, or both.") }
    if let weight, !StoredQueueRules.weights.contains(weight) {
      throw ValidationError("--weight is a number from 1 to 1000.")
    }
    if all && weight != nil { throw ValidationError("A weight is one connection's or lane's share among the others.") }
    if lane != nil && maxLanes != nil { throw ValidationError("--max-lanes is for connections.") }
    if all && maxLanes?.count == nil { throw ValidationError("--all needs a number: it is the default.") }
  }

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, settings in
      let record = try await metadata.transaction { session in
        let (record, isChange) = try await change(session)
        if isChange { try await session.audit(auditEntry) }
        return record
      }
      let isDelivered = try await RuleDelivery(settings: settings, metadata: metadata).deliver()
      var told = record
      told.fields.append(.init(name: "in_redis", value: .bool(isDelivered)))
      let facts = record.fields.filter { $0.value != .null }
      let sentence = facts.map { "\($0.name.replacing("_", with: " ")) \($0.value.cell)" }.joined(separator: ", ")
      try common.output.done(sentence, told)
    }
  }

  /// Makes the changes and tells what holds from now on.
  private func change(_ session: MetadataSession) async throws -> (OutputRecord, isChange: Bool) {
    var isChange = false
    if let lane {
      let (found, name) = try await session.lane(named: lane)
      if let weight { isChange = try await session.setWeight(weight, ofLane: found.id) }
      return (["lane": .text(name), "weight": .optional(weight.map(Int64.init))], isChange)
    }
    guard let connection else {
      if let count = maxLanes?.count { isChange = try await session.setMostLanes(count) }
      return (["max_lanes": .optional(maxLanes?.count.map(Int64.init) ?? nil)], isChange)
    }
    let target = try await session.connection(named: connection)
    if let weight { isChange = try await session.setWeight(weight, ofConnection: target.id) }
    if let maxLanes {
      isChange = try await session.setMostLanes(maxLanes.count, ofConnection: target.id) || isChange
    }
    let rules = try await session.queueRules()
    return (
      [
        "connection": .text(target.name), "weight": .count(rules.connections[target.id]?.weight ?? 1),
        "max_lanes": .count(rules.connections[target.id]?.mostLanes ?? rules.mostLanes),
      ], isChange
    )
  }

  private var auditEntry: AuditEntry {
    var detail: [String: String] = [:]
    detail["lane"] = lane
    detail["weight"] = weight.map { "\($0)" }
    detail["max_lanes"] = maxLanes.map { limit in limit.count.map { "\($0)" } ?? "default" }
    return AuditEntry(actor: Operator.name, action: "queue tune", connection: connection, detail: detail)
  }
}
