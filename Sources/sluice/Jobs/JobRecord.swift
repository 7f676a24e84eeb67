import Metadata

extension Job {
  func record(_ names: ScopeNames) -> OutputRecord {
    [
      "id": .integer(id), "kind": .text(kind.rawValue), "class": .text(jobClass.name), "state": .text(state.rawValue),
      "connection": .text(connection), "lane": .text(laneName), "lane_id": .integer(lane.id),
      "about": .text(scope.summary(names)), "scope": .record(scope.record(names)), "parent": .optional(parent),
      "coalesced": .count(coalesced), "attempt": .count(state == .running ? attempt + 1 : attempt),
      "max_attempts": .count(maxAttempts),
      "stalls": .count(stalls), "enqueued": .bool(isEnqueued), "created_at": .text(createdAt),
      "scheduled_at": .text(scheduledAt), "started_at": .optional(startedAt), "finished_at": .optional(finishedAt),
      "worker": .optional(worker), "error": .optional(error), "remedy": .optional(remedy),
      "result": .parsed(json: result),
    ]
  }

  /// How it ended, on one line: with its error and remedy, its notes, and the access that is left.
  func outcomeLine(_ names: ScopeNames) -> String {
    var parts = ["job \(id) \(state.rawValue): \(kind.rawValue) \(scope.summary(names))"]
    parts += [error, remedy].compactMap(\.self)
    guard case .record(let result) = OutputValue.parsed(json: result) else { return parts.joined(separator: "; ") }
    for (name, title) in [
      ("notes", "note"), ("warnings", "warning"), ("residual_access", "residual access"),
      ("sessions_left", "sessions left"),
    ] {
      guard case .list(let values)? = result[name] else { continue }
      // What a warning says may be the error, which stands there already.
      parts += values.map(\.cell).filter { error?.contains($0) != true }.map { "\(title): \($0)" }
    }
    return parts.joined(separator: "; ")
  }

  var laneName: String { lane.name(on: connection) }
}

extension JobScope {
  /// What a table shows of it: names, and numbers for what has none any more.
  func summary(_ names: ScopeNames) -> String {
    let parts = [
      identity.map { names.user(of: self) ?? "user \($0)" },
      securable.map { names.path(of: self) ?? "securable \($0)" },
      audience.map { names.audience(of: self) ?? "audience \($0)" }, role.map { "role \($0)" },
    ].compactMap(\.self)
    return ([subject.rawValue] + parts).joined(separator: " ")
  }

  func record(_ names: ScopeNames) -> OutputRecord {
    [
      "subject": .text(subject.rawValue), "user": .optional(names.user(of: self)),
      "path": .optional(names.path(of: self)), "audience": .optional(names.audience(of: self)),
      "role": .optional(role), "securable_id": .optional(securable), "user_id": .optional(identity),
      "audience_id": .optional(audience),
    ]
  }
}

extension MetadataSession {
  /// A job as it is shown.
  func jobRecord(id: Int64) async throws -> OutputRecord {
    let job = try await job(id: id)
    return job.record(try await scopeNames(of: [job]))
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
