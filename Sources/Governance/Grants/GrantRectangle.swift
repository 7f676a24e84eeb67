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

  /// Covers the grants, each once and nothing else, with few statements and few catalog rows rewritten; the same grants
  /// always give the same rectangles.
  ///
  /// Either securables on which the same grantees get the same privileges share a statement, or grantees who get the same
  /// privileges on the same securables do: for each family of securables whichever costs less.
  package static func rectangles(
    covering grants: Set<Grant>, cost: StatementCost = .measured
  ) -> [GrantRectangle] {
    Dictionary(grouping: grants, by: \.securable.family).values.flatMap { grants in
      let privileges = privileges(grants)
      let bySecurable = bySecurable(privileges)
      let byGrantee = byGrantee(privileges)
      return cost.of(byGrantee) < cost.of(bySecurable) ? byGrantee : bySecurable
    }.sorted(by: precedes)
  }

  private struct Pair: Hashable {
    let securable: SecurableOID
    let grantee: RoleName
  }

  /// What several securables can have in common, or several grantees.
  private struct Shape<Member: Hashable>: Hashable {
    let privileges: [Privilege]
    let members: [Member]
  }

  private struct Line<Member: Hashable>: Hashable {
    let member: Member
    let privileges: [Privilege]
  }

  private static func privileges(_ grants: [Grant]) -> [Pair: [Privilege]] {
    var privileges: [Pair: [Privilege]] = [:]
    for grant in grants {
      privileges[Pair(securable: grant.securable, grantee: grant.grantee), default: []].append(grant.privilege)
    }
    return privileges.mapValues { $0.sorted() }
  }

  private static func bySecurable(_ granted: [Pair: [Privilege]]) -> [GrantRectangle] {
    var lines: [Line<SecurableOID>: [RoleName]] = [:]
    for (pair, privileges) in granted {
      lines[Line(member: pair.securable, privileges: privileges), default: []].append(pair.grantee)
    }
    return shapes(lines).flatMap { shape, securables in pieces(shape.privileges, securables, shape.members) }
  }

  private static func byGrantee(_ granted: [Pair: [Privilege]]) -> [GrantRectangle] {
    var lines: [Line<RoleName>: [SecurableOID]] = [:]
    for (pair, privileges) in granted {
      lines[Line(member: pair.grantee, privileges: privileges), default: []].append(pair.securable)
    }
    return shapes(lines).flatMap { shape, grantees in pieces(shape.privileges, shape.members, grantees) }
  }

  private static func shapes<Member: Hashable, Other: Hashable & Comparable>(
    _ lines: [Line<Member>: [Other]]
  ) -> [Shape<Other>: [Member]] {
    var shapes: [Shape<Other>: [Member]] = [:]
    for (line, others) in lines {
      shapes[Shape(privileges: line.privileges, members: others.sorted()), default: []].append(line.member)
    }
    return shapes
  }

  private static func pieces(
    _ privileges: [Privilege], _ securables: [SecurableOID], _ grantees: [RoleName]
  ) -> [GrantRectangle] {
    guard let family = securables.first?.family else { return [] }
    return securables.sorted().pieces(of: maximumSecurables).flatMap { securables in
      grantees.sorted().pieces(of: maximumGrantees).map { grantees in
        GrantRectangle(family: family, privileges: privileges, securables: securables, grantees: grantees)
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
