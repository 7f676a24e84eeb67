extension GrantRectangle {
  /// For finding the culprit of a failed statement: two rectangles of half the size, or nil for one securable and one grantee.
  package var halves: [GrantRectangle]? {
    if securables.count > 1 {
      let middle = securables.count / 2
      return [with(securables: Array(securables[..<middle])), with(securables: Array(securables[middle...]))]
    }
    guard grantees.count > 1 else { return nil }
    let middle = grantees.count / 2
    return [with(grantees: Array(grantees[..<middle])), with(grantees: Array(grantees[middle...]))]
  }

  /// The part whose securables are present, and the part whose are not.
  package func split(_ isPresent: (SecurableOID) -> Bool) -> (present: GrantRectangle?, gone: GrantRectangle?) {
    let present = securables.filter(isPresent)
    let gone = securables.filter { !isPresent($0) }
    return (present.isEmpty ? nil : with(securables: present), gone.isEmpty ? nil : with(securables: gone))
  }

  private func with(securables: [SecurableOID]? = nil, grantees: [RoleName]? = nil) -> GrantRectangle {
    GrantRectangle(
      family: family, privileges: privileges, securables: securables ?? self.securables,
      grantees: grantees ?? self.grantees)
  }
}
