/// Members to add to a role or to remove from it, with one statement.
package struct MembershipChange: Sendable, Hashable {
  /// Members of one statement.
  package static let maximumMembers = 1_000

  package let role: RoleName
  package let members: [RoleName]

  package init(role: RoleName, members: [RoleName]) {
    self.role = role
    self.members = members
  }
}

/// What turns the observed members of the managed roles into the desired ones.
package struct MembershipDiff: Sendable, Hashable {
  package let revokes: [MembershipChange]
  package let grants: [MembershipChange]

  package init(desired: [RoleName: Set<RoleName>], observed: [RoleName: Set<RoleName>]) {
    revokes = Self.changes(from: desired, to: observed)
    grants = Self.changes(from: observed, to: desired)
  }

  package var isEmpty: Bool { revokes.isEmpty && grants.isEmpty }

  /// What the second has and the first has not, by role name.
  private static func changes(
    from first: [RoleName: Set<RoleName>], to second: [RoleName: Set<RoleName>]
  ) -> [MembershipChange] {
    second.sorted { $0.key < $1.key }.flatMap { role, members in
      members.subtracting(first[role] ?? []).sorted().pieces(of: MembershipChange.maximumMembers)
        .map { MembershipChange(role: role, members: $0) }
    }
  }
}
