import Metadata

/// The roles that jobs are about: those of the users and audiences that their scopes name by number.
struct JobRoles: Sendable {
  private var users: [Int64: String] = [:]
  private var audiences: [Int64: String] = [:]

  static func of(_ jobs: [ClaimedJob], connection: Int64, _ metadata: MetadataSession) async throws -> JobRoles {
    var roles = JobRoles()
    roles.users = try await metadata.userRoles(identities: jobs.compactMap(\.scope.identity), connection: connection)
    roles.audiences = try await metadata.audienceRoles(jobs.compactMap(\.scope.audience))
    return roles
  }

  /// Nil for a user without an account, an audience that is forgotten, and scopes that are about more than one role.
  func role(of job: ClaimedJob) -> String? {
    job.scope.role ?? job.scope.identity.flatMap { users[$0] } ?? job.scope.audience.flatMap { audiences[$0] }
  }
}
