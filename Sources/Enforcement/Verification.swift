import Governance

/// What a transaction did, as the target's own catalog tells it before the COMMIT: exact entries, with their grantors.
struct Verification: Sendable {
  /// Entries that were granted and are there, with the role that they are granted by.
  private(set) var present: [Grant: String] = [:]
  /// Entries that were revoked and are gone.
  private(set) var absent: Set<Grant> = []
  /// What the server did not do, and said so.
  private(set) var failures: [Grant: Failure] = [:]

  /// - Parameters:
  ///   - before: our entries before the statements, wherever they touch anything
  ///   - after: the same after them
  /// - Throws: `Unverified` for entries that nothing accounts for; the transaction must not commit.
  init(
    _ done: [Application.Done], before: Set<Grant>, after: ObservedState, _ names: GrantStatements.Names
  ) throws(Unverified) {
    var unexplained = Self.surprises(done, before, after)
    for statement in done {
      let grants = statement.rectangle.grants
      let wrong = grants.filter { after.ours.contains($0) != (statement.verb == .grant) }
      // The server warns once for each securable. What is wrong without a warning is not explained by that of another,
      // and of one too many nobody knows what it is about.
      let securables = Set(wrong.map(\.securable)).count
      if securables > statement.warnings.count { unexplained.formUnion(wrong) }
      let isAccounted = statement.warnings.count <= securables
      for grant in isAccounted ? wrong : grants { failures[grant] = Self.failure(statement, grant, names) }
      for grant in grants where failures[grant] == nil {
        if statement.verb == .grant { present[grant] = after.grantors[grant] } else { absent.insert(grant) }
      }
    }
    if let first = unexplained.min() {
      throw Unverified(text: Self.text(first, names), count: unexplained.count)
    }
  }

  /// Entries of ours that came or went beside those that a statement named, for the same role on the same securable.
  private static func surprises(
    _ done: [Application.Done], _ before: Set<Grant>, _ after: ObservedState
  ) -> Set<Grant> {
    struct Place: Hashable {
      let grantee: RoleName
      let securable: SecurableOID
    }
    let named = Set(done.flatMap(\.rectangle.grants))
    let places = Set(named.map { Place(grantee: $0.grantee, securable: $0.securable) })
    return before.symmetricDifference(after.ours).subtracting(named).filter {
      places.contains(Place(grantee: $0.grantee, securable: $0.securable))
    }
  }

  private static func failure(
    _ statement: Application.Done, _ grant: Grant, _ names: GrantStatements.Names
  ) -> Failure {
    let warnings = statement.warnings.joined(separator: "; ")
    guard statement.verb == .grant else {
      return Failure(
        .permanent, "\(text(grant, names)) is still there after the REVOKE: \(warnings)",
        remedy: "another grantor made the same entry: have that grantor revoke it")
    }
    return Failure(
      .permanent, "\(text(grant, names)) was not granted: \(warnings)",
      remedy: "have the owner grant Sluice's role that privilege WITH GRANT OPTION, then retry the job")
  }

  static func text(_ grant: Grant, _ names: GrantStatements.Names) -> String {
    let name = names[grant.securable] ?? "\(grant.securable.oid)"
    let family = grant.securable.family == .table ? "" : "\(grant.securable.family.rawValue) "
    return "\(grant.privilege.keyword) on \(family)\(name) to \(grant.grantee)"
  }
}

/// The catalog does not say what the server's answers do, and no warning tells why: a statement has met another
/// securable than the one that was meant, or somebody undoes grants as they are made.
struct Unverified: Error, CustomStringConvertible {
  let text: String
  let count: Int

  var description: String {
    let others = count > 1 ? " and \(count - 1) others are" : " is"
    return "\(text)\(others) not as the server answered"
  }
}
