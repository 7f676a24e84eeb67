import Platform
import Postgres

/// An unfinished job that Redis was told of, as it should be found there.
package struct EnqueuedJob: Sendable {
  package let id: Int64
  package let lane: Int64
  /// The connection that parks its lane; 0 for governance lanes.
  package let parkedBy: Int64
  package let kind: JobKind
  package let jobClass: JobClass
  /// Under which it runs; nil if it does not.
  package let fence: Fence?
}

extension MetadataSession {
  /// Some unfinished jobs that Redis was told of, of each class: in the first lanes, and in lanes from a random one on.
  ///
  /// - Parameter size: how many of each, at most.
  package func sampleEnqueued(size: Int) async throws -> [EnqueuedJob] {
    let last = try await connection.query("select coalesce(max(id), 1) as id from lane").rows[0].int("id")
    return try await connection.query(
      statement(PackageResources.sample_enqueued_sql), [.int(size), .int8(.random(in: 1...max(last, 1)))]
    ).rows.map { row in
      guard let kind = JobKind(rawValue: try row.text("kind")),
        let jobClass = JobClass(rawValue: Int(try row.int("class")))
      else { throw MetadataError(.corrupt, "job \(try row.int("id")) was written by another version") }
      let fence = (try row.optionalInt("fence_epoch"), try row.optionalInt("fence_sequence"))
      return EnqueuedJob(
        id: try row.int("id"), lane: try row.int("lane_id"), parkedBy: try row.int("parked_by"), kind: kind,
        jobClass: jobClass, fence: fence.0.flatMap { epoch in fence.1.map { Fence(epoch: epoch, sequence: $0) } })
    }
  }

  /// Those of these jobs that are unfinished, and noted as told to Redis.
  package func stillEnqueued(_ jobs: [Int64]) async throws -> Set<Int64> {
    var found: Set<Int64> = []
    for id in jobs where try await job(id: id).isEnqueued { found.insert(id) }
    return found
  }
}
