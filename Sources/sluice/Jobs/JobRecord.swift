import Metadata

extension Job {
  var record: OutputRecord {
    [
      "id": .integer(id), "kind": .text(kind.rawValue), "class": .text(jobClass.name), "state": .text(state.rawValue),
      "connection": .text(connection), "lane": .text(laneName), "lane_id": .integer(lane.id),
      "about": .text(scope.summary), "scope": .record(scope.record), "parent": .optional(parent),
      "coalesced": .count(coalesced), "attempt": .count(attempt), "max_attempts": .count(maxAttempts),
      "stalls": .count(stalls), "enqueued": .bool(isEnqueued), "created_at": .text(createdAt),
      "scheduled_at": .text(scheduledAt), "started_at": .optional(startedAt), "finished_at": .optional(finishedAt),
      "worker": .optional(worker), "error": .optional(error), "remedy": .optional(remedy),
      "result": .parsed(json: result),
    ]
  }

  /// `prod/roles`, `prod/governance`, or the connection with its database.
  private var laneName: String { "\(connection)/\(lane.databaseName ?? lane.kind.rawValue)" }
}

extension JobScope {
  /// What a table shows of it.
  var summary: String {
    let numbers = [
      securable.map { "securable \($0)" }, identity.map { "user \($0)" }, audience.map { "audience \($0)" },
      role.map { "role \($0)" },
    ].compactMap(\.self)
    return ([subject.rawValue] + numbers).joined(separator: " ")
  }

  var record: OutputRecord {
    [
      "subject": .text(subject.rawValue), "securable_id": .optional(securable), "user_id": .optional(identity),
      "audience_id": .optional(audience), "role": .optional(role),
    ]
  }
}

extension JobAttempt {
  var record: OutputRecord {
    [
      "attempt": .count(number), "outcome": .text(outcome), "fence": .text("\(fence)"), "worker": .text(worker),
      "started_at": .text(startedAt), "finished_at": .text(finishedAt), "error": .optional(error),
      "result": .parsed(json: result),
    ]
  }
}
