/// Somebody's membership in an audience, as a target's catalog has it: there is one for each grantor.
package struct Membership: Sendable, Hashable {
  package let role: RoleName
  package private(set) var member: RoleName
  package let grantor: RoleName
  /// Whether the member has the audience's privileges, may become it, and may make others its members.
  package let (inherits, canSet, isAdmin): (Bool, Bool, Bool)
  /// Whether it was made by the role that Sluice grants this audience by.
  package let isOurs: Bool
  /// Whether our REVOKE takes it away.
  package let isRemovable: Bool

  package init(
    role: RoleName, member: RoleName, grantor: RoleName, inherits: Bool = true, canSet: Bool = false,
    isAdmin: Bool = false, isOurs: Bool = true, isRemovable: Bool = true
  ) {
    self.role = role
    self.member = member
    self.grantor = grantor
    (self.inherits, self.canSet, self.isAdmin) = (inherits, canSet, isAdmin)
    self.isOurs = isOurs
    self.isRemovable = isRemovable
  }

  /// The same of another member.
  package func of(_ member: RoleName) -> Membership {
    var other = self
    other.member = member
    return other
  }

  /// More than an audience gives its members.
  var exceeds: Bool { canSet || isAdmin }

  var isAsGranted: Bool { isOurs && inherits && !exceeds }
}
