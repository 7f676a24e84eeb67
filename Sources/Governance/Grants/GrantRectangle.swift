/// Grants that one statement can make: all these privileges on all these securables for all these grantees.
package struct GrantRectangle: Sendable, Hashable {
  /// A statement rewrites one catalog row a securable; a hundred take some 50 ms, and that long others wait.
  package static let maximumSecurables = 100
  package static let maximumGrantees = 200

  package let family: SecurableFamily
  /// In the order in which statements list them.
  package let privileges: [Privilege]
  /// By OID: statements that take their locks in one order do not lock each other out.
  package let securables: [SecurableOID]
  package let grantees: [RoleName]

  /// The grants it stands for.
  package var grants: [Grant] {
    securables.flatMap { securable in
      grantees.flatMap { grantee in
        privileges.map { Grant(grantee: grantee, securable: securable, privilege: $0) }
      }
    }
  }

  /// Covers the grants, each once and nothing else, with few statements; the same grants always give the same ones.
  ///
  /// Securables on which the same grantees get the same privileges share a statement.
  package static func rectangles(covering grants: Set<Grant>) -> [GrantRectangle] {
    var securables: [Shape: [SecurableOID]] = [:]
    for (securable, shapes) in shapes(of: grants) {
      for shape in shapes { securables[shape, default: []].append(securable) }
    }
    return securables.flatMap { shape, securables in pieces(of: shape, securables.sorted()) }.sorted(by: precedes)
  }

  /// What several securables can have in common.
  private struct Shape: Hashable {
    let family: SecurableFamily
    let privileges: [Privilege]
    let grantees: [RoleName]
  }

  private static func shapes(of grants: Set<Grant>) -> [SecurableOID: [Shape]] {
    var privileges: [SecurableOID: [RoleName: Set<Privilege>]] = [:]
    for grant in grants {
      privileges[grant.securable, default: [:]][grant.grantee, default: []].insert(grant.privilege)
    }
    var shapes: [SecurableOID: [Shape]] = [:]
    for (securable, byGrantee) in privileges {
      let grantees = Dictionary(grouping: byGrantee.keys) { byGrantee[$0, default: []] }
      shapes[securable] = grantees.map { privileges, grantees in
        Shape(family: securable.family, privileges: privileges.sorted(), grantees: grantees.sorted())
      }
    }
    return shapes
  }

  private static func pieces(of shape: Shape, _ securables: [SecurableOID]) -> [GrantRectangle] {
    securables.pieces(of: maximumSecurables).flatMap { securables in
      shape.grantees.pieces(of: maximumGrantees).map { grantees in
        GrantRectangle(
          family: shape.family, privileges: shape.privileges, securables: securables, grantees: grantees)
      }
    }
  }

  private static func precedes(_ left: GrantRectangle, _ right: GrantRectangle) -> Bool {
    if left.securables != right.securables { return left.securables.lexicographicallyPrecedes(right.securables) }
    if left.grantees != right.grantees { return left.grantees.lexicographicallyPrecedes(right.grantees) }
    return left.privileges.lexicographicallyPrecedes(right.privileges)
  }
}

extension Array {
  /// Cut into pieces of at most that many elements.
  func pieces(of length: Int) -> [[Element]] {
    stride(from: 0, to: count, by: length).map { Array(self[$0..<Swift.min($0 + length, count)]) }
  }
}
