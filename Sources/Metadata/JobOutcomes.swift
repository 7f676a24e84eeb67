import Postgres

/// What became of jobs and of all that they submitted, directly or through others.
package struct JobOutcomes: Sendable {
  /// How many are in each final state.
  package var finished: [JobState: Int] = [:]
  package var unfinished: [Int64] = []
  /// The discarded ones, the first few.
  package var discarded: [Job] = []

  package init() {}
}

extension MetadataSession {
  /// Discarded jobs that an outcome carries with their reasons.
  private static let discardedLimit = 10

  /// Those of these jobs that have not finished; cheap enough to be asked again and again.
  package func unfinished(of jobs: [Int64]) async throws -> [Int64] {
    try await connection.query(
      "select id from job where id = any ($1) and finished_at is null order by id", [.int8Array(jobs)]
    ).rows.map { try $0.int("id") }
  }

  /// The outcomes of jobs and their families.
  ///
  /// A child that coalesced into a job of somebody else has another parent; the result of the job that asked for it
  /// lists it, so it belongs to the family too.
  package func outcomes(of jobs: [Int64]) async throws -> JobOutcomes {
    let rows = try await connection.query(
      statement(PackageResources.list_family_outcomes_sql), [.int8Array(jobs)]
    ).rows
    var outcomes = JobOutcomes()
    var discarded: [Int64] = []
    for row in rows {
      guard let state = JobState(rawValue: try row.text("state")) else {
        throw MetadataError(.corrupt, "a job was written by another version")
      }
      let ids = try row.intArray("ids")
      if state.isFinal { outcomes.finished[state] = ids.count } else { outcomes.unfinished += ids }
      if state == .discarded { discarded = Array(ids.prefix(Self.discardedLimit)) }
    }
    for id in discarded { outcomes.discarded.append(try await job(id: id)) }
    return outcomes
  }
}
