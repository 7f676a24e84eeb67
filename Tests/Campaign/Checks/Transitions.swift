import Platform
import Postgres

/// A change of a job's state or fence, written down by a trigger of the campaign's own: what the ledger says of itself
/// is not asked.
package struct TransitionReading: Sendable {
  package var job: Int64
  package var lane: Int64
  package var from: String
  package var to: String
  /// Nil before the first claim.
  package var fence: Fence?
  package var worker: String

  package init(
    job: Int64, lane: Int64 = 1, from: String, to: String, fence: Fence? = nil, worker: String = "worker"
  ) {
    self.job = job
    self.lane = lane
    self.from = from
    self.to = to
    self.fence = fence
    self.worker = worker
  }

  var isClaim: Bool { to == "running" }
  var isSettlement: Bool { JobReading.finalStates.contains(to) && !JobReading.finalStates.contains(from) }
}

/// The trigger and its table, beside Sluice's own in the metadata database.
enum Transitions {
  static func install(in session: PostgresConnection) async throws {
    try await session.execute(
      """
      create schema campaign;
      create table campaign.transition (
        id bigint generated always as identity primary key, job_id bigint, lane_id bigint, from_state text,
        to_state text, epoch bigint, sequence bigint, worker text);
      create function campaign.note() returns trigger language plpgsql security definer as $$
        begin
          insert into campaign.transition (job_id, lane_id, from_state, to_state, epoch, sequence, worker)
          values (new.id, new.lane_id, old.state, new.state, new.fence_epoch, new.fence_sequence, new.worker);
          return null;
        end $$;
      create trigger campaign_note after update on job for each row
        when (old.state is distinct from new.state or old.fence_epoch is distinct from new.fence_epoch
          or old.fence_sequence is distinct from new.fence_sequence)
        execute function campaign.note()
      """)
  }

  /// In the order of the changes of each job: a job's row is locked while its trigger draws the number.
  static func read(in session: PostgresConnection) async throws -> [TransitionReading] {
    try await session.query(
      """
      select job_id, lane_id, from_state, to_state, epoch, sequence, coalesce(worker, '') as worker
      from campaign.transition order by id
      """
    ).rows.map { row in
      var transition = TransitionReading(
        job: try row.int("job_id"), lane: try row.int("lane_id"), from: try row.text("from_state"),
        to: try row.text("to_state"), worker: try row.text("worker"))
      if let epoch = try row.optionalInt("epoch"), let sequence = try row.optionalInt("sequence") {
        transition.fence = Fence(epoch: epoch, sequence: sequence)
      }
      return transition
    }
  }
}
