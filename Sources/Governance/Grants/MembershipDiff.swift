/// Members to add to a role or to remove from it, with one statement.
package struct MembershipChange: Sendable, Hashable {
  /// Members of one statement.
  package static let maximumMembers = 1_000

  package let role: RoleName
  package let members: [RoleName]
  /// Who made the memberships that are removed, if it was not the role that Sluice grants the audience by.
  package let grantor: RoleName?

  package init(role: RoleName, members: [RoleName], grantor: RoleName? = nil) {
    self.role = role
    self.members = members
    self.grantor = grantor
  }

  package struct Pair: Hashable, Sendable {
    package let role: RoleName
    package let member: RoleName

    package init(role: RoleName, member: RoleName) {
      self.role = role
      self.member = member
    }
  }

  package var pairs: [Pair] { members.map { Pair(role: role, member: $0) } }
}

/// What turns the observed members of the managed roles into the desired ones: each inherits, may not become the
/// audience, and was made a member by Sluice. Whatever else there is of memberships is taken away, or told.
package struct MembershipDiff: Sendable, Hashable {
  package let revokes: [MembershipChange]
  package let grants: [MembershipChange]
  /// What should not be there and cannot be taken away.
  package let residual: [Membership]

  package init(desired: [RoleName: Set<RoleName>], observed: [Membership]) {
    func isDesired(_ membership: Membership) -> Bool {
      desired[membership.role]?.contains(membership.member) == true
    }
    let surplus = observed.filter { !isDesired($0) || !$0.isOurs || $0.exceeds }
    revokes = Self.changes(surplus.filter(\.isRemovable))
    // What another made of somebody who should be a member gives nothing more, unless it can be passed on.
    residual = surplus.filter { !$0.isRemovable && (!isDesired($0) || $0.isAdmin) }
    var missing = desired
    for membership in observed where membership.isAsGranted { missing[membership.role]?.remove(membership.member) }
    grants = missing.sorted { $0.key < $1.key }.flatMap { role, members in
      members.sorted().pieces(of: MembershipChange.maximumMembers).map { MembershipChange(role: role, members: $0) }
    }
  }

  package var isEmpty: Bool { revokes.isEmpty && grants.isEmpty }

  private struct Origin: Hashable {
    let role: RoleName
    let grantor: RoleName?
  }

  private static func changes(_ surplus: [Membership]) -> [MembershipChange] {
    Dictionary(grouping: surplus) { Origin(role: $0.role, grantor: $0.isOurs ? nil : $0.grantor) }
      .sorted { ($0.key.role, $0.value[0].grantor) < ($1.key.role, $1.value[0].grantor) }
      .flatMap { origin, memberships in
        memberships.map(\.member).sorted().pieces(of: MembershipChange.maximumMembers).map {
          MembershipChange(role: origin.role, members: $0, grantor: origin.grantor)
        }
      }
  }
}
