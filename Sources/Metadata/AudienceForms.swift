import Governance
import Postgres

/// What the forms of a connection's audiences are chosen by.
package struct FormInputs: Sendable {
  /// The forms that its policies' audiences have now.
  package var present: [AudienceKey: AccessForm] = [:]
  /// Who holds a subscription by hand directly, by data source.
  package var subscribed: [SecurableID: Set<UserID>] = [:]
  package var limits = FormLimits(roleBudget: 0)

  /// Those of a connection without anything, and without a budget.
  package init() {}
}

extension MetadataSession {
  package func formInputs(of target: Connection) async throws -> FormInputs {
    var inputs = FormInputs()
    for row in try await connection.query(
      "select access, condition, form from audience where connection_id = $1 and securable_id is null",
      [.int8(target.id)]
    ).rows {
      let key = AudienceKey(
        access: try row.text("access") == "write" ? .write : .read, condition: try row.text("condition"))
      inputs.present[key] = AccessForm(rawValue: try row.text("form"))
    }
    for row in try await connection.query(
      """
      select u.identity_id, u.securable_id
      from subscription u join securable t on t.id = u.securable_id and t.connection_id = $1
      where u.barred_by is null and not exists (select from audience a
        where a.securable_id = u.securable_id and a.access = u.access and a.form in ('joining', 'audience'))
      """, [.int8(target.id)]
    ).rows {
      inputs.subscribed[SecurableID(rawValue: try row.int("securable_id")), default: []].insert(
        UserID(rawValue: try row.int("identity_id")))
    }
    inputs.limits = FormLimits(roleBudget: target.roleBudget - (try await otherRoles(of: target.id)))
    return inputs
  }

  /// Roles that count against a connection's budget and are not those of policies' audiences.
  private func otherRoles(of connectionID: Int64) async throws -> Int {
    let row = try await connection.query(
      """
      select (select count(*) from managed_role
          where connection_id = $1 and kind = 'user' and made and dropped_at is null)
        + (select count(*) from audience
          where connection_id = $1 and securable_id is not null and form in ('joining', 'audience')) as roles
      """, [.int8(connectionID)]
    ).rows[0]
    return Int(try row.int("roles"))
  }

  /// The roles of audiences whose members are joining.
  package func joiningAudiences(of connectionID: Int64) async throws -> [String] {
    try await connection.query(
      "select role from audience where connection_id = $1 and form = 'joining'", [.int8(connectionID)]
    ).rows.map { try $0.text("role") }
  }

  /// The data sources that have audiences for their subscriptions.
  package func subscribedAudiences(of connectionID: Int64) async throws -> [Int64] {
    try await connection.query(
      """
      select a.securable_id from audience a join securable s on s.id = a.securable_id
      where a.connection_id = $1 and s.kind not in ('schema', 'database')
      """, [.int8(connectionID)]
    ).rows.map { try $0.int("securable_id") }
  }

  /// The connections that have no place for some audiences, with how many, the most first.
  package func unplacedCounts() async throws -> [(connection: String, audiences: Int)] {
    try await connection.query(
      """
      select c.name, count(*) as audiences from audience a join connection c on c.id = a.connection_id
      where a.form = 'unplaced' and c.state <> 'deleted' group by c.name order by 2 desc, 1
      """
    ).rows.map { (try $0.text("name"), Int(try $0.int("audiences"))) }
  }

  /// Whether a user's own role should hold something on a data source, and the policies that would admit the user but
  /// have no place.
  package func placement(of identity: Int64, on securable: Int64) async throws -> (isDirect: Bool, unplaced: [String]) {
    let row = try await connection.query(
      """
      select exists (select from desired_access where identity_id = $1 and securable_id = $2) as is_direct,
        array(select distinct p from audience a
            join audience_member m on m.audience_id = a.id and m.identity_id = $1
            join audience_securable x on x.audience_id = a.id and x.securable_id = $2
            cross join unnest(a.policies) p
          where a.form = 'unplaced' order by p) as unplaced
      """, [.int8(identity), .int8(securable)]
    ).rows[0]
    return (try row.bool("is_direct"), try row.textArray("unplaced"))
  }

  /// The policies of audiences that have no place on a connection, each with how many users it would admit to how many
  /// data sources.
  package func unplacedAudiences(
    of connectionID: Int64
  ) async throws -> [(policies: [String], access: String, users: Int, tables: Int)] {
    try await connection.query(
      """
      select a.policies, a.access,
        (select count(*) from audience_member m where m.audience_id = a.id) as users,
        (select count(*) from audience_securable x where x.audience_id = a.id) as tables
      from audience a where a.connection_id = $1 and a.form = 'unplaced' order by a.policies, a.key
      """, [.int8(connectionID)]
    ).rows.map {
      (try $0.textArray("policies"), try $0.text("access"), Int(try $0.int("users")), Int(try $0.int("tables")))
    }
  }
}
