import Governance
import Metadata

/// What is otherwise in one place of a target than it should be, and what there is that is not Sluice's.
package struct Drift: Sendable {
  package enum Finding: String, Sendable, CaseIterable {
    /// Should be there, and is not.
    case lost
    /// Was made by our grantor, and should not be there.
    case surplus
    /// A membership that should be there, and is there with other options; an audience that has another name.
    case changed
    /// Access of somebody with an account that no subscription explains, and that is not Sluice's to take.
    case foreign
  }

  package struct Entry: Sendable, Hashable {
    package let finding: Finding
    /// Of foreign access that several people have, one of them, or PUBLIC.
    package internal(set) var grantee: String
    package let privileges: String
    /// The securable, or the audience's role, by its name in the target; "data sources" where it is the same on many.
    package internal(set) var place: String
    package var route: String?
    package var via: String?
    package var grantor: String?
    /// What there is to say of the route besides; empty for nothing.
    package internal(set) var remark = ""
    /// How many people foreign access is open to who should not have it; on many data sources, where they are the most.
    package internal(set) var users: Int?
    /// On how many data sources they have it, if that is not one.
    package internal(set) var dataSources: Int?
    /// A job that is open explains it: nothing has drifted there.
    package var isPending = false
    /// Why it was not mended.
    package var problem: String?

    package var text: String {
      let others = (users ?? 1) - 1
      let also = grantee == Self.everybody || others == 0 ? "" : " and \(others) other\(others == 1 ? "" : "s")"
      let place = dataSources.map { "\($0) " } ?? ""
      return sentence(
        place + self.place, grantee + also,
        grantee == Self.everybody ? users.map { $0 == 1 ? "1 user" : "\($0) users" } : nil)
    }

    /// What it is, whomever it is shown by and however many it concerns.
    package var identity: String { sentence(place, users.map { $0 > 1 } == true ? "users" : grantee, nil) }

    static let everybody = "PUBLIC"

    private func sentence(_ place: String, _ whom: String, _ count: String?) -> String {
      let way = [
        route, via.map { "role \"\($0)\"" }, grantor.map { "granted by \"\($0)\"" }, remark.isEmpty ? nil : remark,
        count,
      ].compactMap(\.self)
      return "\(finding.rawValue): \(privileges) on \(place) to \(whom)"
        + (way.isEmpty ? "" : " (\(way.joined(separator: ", ")))") + (problem.map { ": \($0)" } ?? "")
    }
  }

  /// At most so many are kept; the others are counted.
  static let maximumEntries = 10_000

  package private(set) var entries: [Entry] = []
  package private(set) var unlisted = 0
  /// Relations whose entries were compared one by one.
  package internal(set) var examined = 0
  /// Data sources that were asked for foreign access.
  package internal(set) var asked = 0
  /// Pairs of a person and a data source that were not asked for foreign access, because there are too many.
  package internal(set) var unasked = 0

  package var isEmpty: Bool { entries.isEmpty && unlisted == 0 }
  /// Those that no open job explains.
  package var unexplained: [Entry] { entries.filter { !$0.isPending } }

  mutating func note(_ entry: Entry) {
    guard entries.count < Self.maximumEntries else { return unlisted += 1 }
    entries.append(entry)
  }

  mutating func note(_ other: Drift) {
    for entry in other.entries { note(entry) }
    unlisted += other.unlisted
    asked += other.asked
    unasked += other.unasked
    examined += other.examined
  }

  private struct Place: Hashable, Comparable {
    let securable: SecurableOID
    let grantee: RoleName
    let isPending: Bool
    let problem: String?

    static func < (left: Place, right: Place) -> Bool {
      (left.securable, left.grantee) < (right.securable, right.grantee)
    }
  }

  /// Notes grants, those of a role on a securable together.
  mutating func note(
    _ finding: Finding, _ grants: Set<Grant>, _ names: GrantStatements.Names, problems: [Grant: Failure] = [:],
    isPending: (Grant) -> Bool
  ) {
    let places = Dictionary(grouping: grants) {
      Place(
        securable: $0.securable, grantee: $0.grantee, isPending: isPending($0), problem: problems[$0]?.message)
    }
    for (place, grants) in places.sorted(by: { $0.key < $1.key }) {
      let family = place.securable.family
      let name = names[place.securable] ?? "\(place.securable.oid)"
      note(
        Entry(
          finding: finding, grantee: place.grantee.value,
          privileges: grants.map(\.privilege.keyword).sorted().joined(separator: ", "),
          place: family == .table ? name : "\(family.rawValue) \(name)", isPending: place.isPending,
          problem: place.problem))
    }
  }

  /// Notes audiences that are called otherwise, and why they did not get their names back.
  mutating func note(renamed: [RoleName: RoleName], problems: [RoleName: Failure] = [:]) {
    for (role, present) in renamed.sorted(by: { $0.key < $1.key }) {
      note(
        Entry(
          finding: .changed, grantee: present.value, privileges: "name", place: "role \"\(role)\"",
          problem: problems[role]?.message))
    }
  }

  /// Notes memberships; one that is to be taken away and made again has other options than it should.
  mutating func note(
    _ diff: MembershipDiff, problem: (MembershipChange.Pair) -> Failure? = { _ in nil },
    isPending: (MembershipChange.Pair) -> Bool
  ) {
    let (lost, surplus) = (Set(diff.grants.flatMap(\.pairs)), Set(diff.revokes.flatMap(\.pairs)))
    for pair in lost.union(surplus).sorted(by: { ($0.role, $0.member) < ($1.role, $1.member) }) {
      let finding: Finding = !lost.contains(pair) ? .surplus : surplus.contains(pair) ? .changed : .lost
      note(
        Entry(
          finding: finding, grantee: pair.member.value, privileges: "membership", place: "role \"\(pair.role)\"",
          isPending: isPending(pair), problem: problem(pair)?.message))
    }
    for membership in diff.residual {
      note(
        Entry(
          finding: .foreign, grantee: membership.member.value, privileges: "membership",
          place: "role \"\(membership.role)\"", grantor: membership.grantor.value))
    }
  }
}

/// What open jobs of a lane are about: there it is no drift if the target is not as desired.
struct OpenChanges: Sendable {
  /// With more of them nobody can tell what is not theirs.
  private static let maximum = 20_000

  private var extent = Extent()

  static func read(
    of lane: Lane, since: Timestamp, _ metadata: MetadataSession
  ) async throws -> OpenChanges {
    var changes = OpenChanges()
    guard let jobs = try await metadata.openChanges(in: lane.id, since: since, limit: maximum) else {
      changes.extent.isEverything = true
      return changes
    }
    changes.extent = Extent.of(jobs, try await JobRoles.of(jobs, connection: lane.connection, metadata))
    return changes
  }

  /// - Parameter securable: the data source; nil for prerequisites, which belong to every change of their role
  func explain(_ grant: Grant, securable: Int64?) -> Bool {
    let role = grant.grantee.value
    if extent.isEverything || extent.wholeRoles.contains(role) { return true }
    guard let securable else {
      return grant.securable.family < .table && (!extent.wholeSecurables.isEmpty || extent.roles.contains(role))
    }
    return extent.wholeSecurables.contains(securable)
      || extent.pairs.contains(Extent.Pair(role: role, securable: securable))
  }

  func explain(_ pair: MembershipChange.Pair) -> Bool {
    extent.isEverything || extent.wholeRoles.contains(pair.role.value) || extent.wholeRoles.contains(pair.member.value)
  }
}
