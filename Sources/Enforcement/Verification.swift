import Governance

/// What a transaction did, as the target's own catalog tells it before the COMMIT: exact entries, with their grantors.
struct Verification: Sendable {
  /// What the server did not do, and said so.
  private(set) var failures: [Grant: Failure] = [:]
  /// How many entries were read back as they should be.
  private(set) var count = 0
  /// The roles that our entries are granted by, those among them that were granted just now.
  private let grantors: [Grant: String]
  /// Entries that were revoked and are gone.
  private var absent: Set<Grant> = []

  /// - Parameters:
  ///   - before: our entries before the statements, wherever they touch anything
  ///   - after: the same after them
  /// - Throws: `Unverified` for entries that nothing accounts for; the transaction must not commit.
  init(
    _ done: [Application.Done], before: Set<Grant>, after: ObservedState, _ names: GrantStatements.Names
  ) throws(Unverified) {
    grantors = after.grantors
    var unexplained: Set<Grant> = []
    var named: Set<Grant> = []
    for statement in done {
      let grants = statement.rectangle.grants
      named.formUnion(grants)
      let wrong = grants.filter { after.ours.contains($0) != (statement.verb == .grant) }
      // The server warns once for each securable. What is wrong without a warning is not explained by that of another,
      // and of one too many nobody knows what it is about.
      let securables = Set(wrong.map(\.securable)).count
      if securables > statement.warnings.count { unexplained.formUnion(wrong) }
      let isAccounted = statement.warnings.count <= securables
      let failed = isAccounted ? wrong : grants
      for grant in failed { failures[grant] = Self.failure(statement, grant, names) }
      count += grants.count - failed.count
      if statement.verb == .revoke { absent.formUnion(failed.isEmpty ? grants : grants.filter { failures[$0] == nil }) }
    }
    unexplained.formUnion(Self.surprises(named, before, after.ours))
    if let first = unexplained.min() {
      throw Unverified(text: Self.text(first, names), count: unexplained.count)
    }
  }

  /// Entries of ours that came or went beside those that a statement named, for the same role on the same securable.
  private static func surprises(_ named: Set<Grant>, _ before: Set<Grant>, _ after: Set<Grant>) -> [Grant] {
    struct Place: Hashable {
      let grantee: RoleName
      let securable: SecurableOID
    }
    let changed =
      after.filter { !before.contains($0) && !named.contains($0) }
      + before.filter { !after.contains($0) && !named.contains($0) }
    guard !changed.isEmpty else { return [] }
    let places = Set(named.map { Place(grantee: $0.grantee, securable: $0.securable) })
    return changed.filter { places.contains(Place(grantee: $0.grantee, securable: $0.securable)) }
  }

  /// Whether an entry that was to change was read back as it should be; not to be asked of those that failed.
  func holds(_ grant: Grant) -> Bool { grantors[grant] != nil || absent.contains(grant) }

  /// An entry that was read back, in words.
  func text(_ grant: Grant, _ names: GrantStatements.Names) -> String {
    if let grantor = grantors[grant] { return "\(Self.text(grant, names)) by \(grantor)" }
    return "no \(Self.text(grant, names))"
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
