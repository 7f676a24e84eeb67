import RandomTestKit
import Testing

@testable import Governance

@Suite struct GrantTests {
  static func role(_ number: Int) throws -> RoleName { try RoleName("role\(number)") }

  static func randomGrants(_ generator: inout SeededGenerator, securables: Int, grantees: Int) throws -> Set<Grant> {
    var grants: Set<Grant> = []
    for oid in 1...securables {
      let family = SecurableFamily.allCases[oid % 4]
      for number in generator.subset(Array(1...grantees)) {
        for privilege in generator.subset([Privilege.select, .insert, .usage]) {
          let securable = SecurableOID(family: family, oid: UInt32(oid))
          grants.insert(Grant(grantee: try role(number), securable: securable, privilege: privilege))
        }
      }
    }
    return grants
  }

  static func grants(_ securables: ClosedRange<UInt32>, _ grantees: ClosedRange<Int>) throws -> Set<Grant> {
    var grants: Set<Grant> = []
    for oid in securables {
      for number in grantees {
        let securable = SecurableOID(kind: .table, oid: oid)
        grants.insert(Grant(grantee: try role(number), securable: securable, privilege: .select))
      }
    }
    return grants
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func applyingTheRectanglesYieldsTheDesiredGrantsAndNothingTwice(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let desired = try Self.randomGrants(&generator, securables: 12, grantees: 5)
    let observed = try Self.randomGrants(&generator, securables: 12, grantees: 5)
    let diff = GrantDiff(desired: desired, observed: observed)
    var state = observed
    for grant in diff.revokeRectangles.flatMap(\.grants) {
      #expect(state.remove(grant) != nil, "revokes what is not there: \(grant)")
    }
    for grant in diff.grantRectangles.flatMap(\.grants) {
      #expect(state.insert(grant).inserted, "grants what is there already: \(grant)")
    }
    #expect(state == desired)
  }

  /// Whatever the costs, so that both ways of covering are looked at.
  @Test(arguments: 0..<20 as Range<UInt64>)
  func rectanglesCoverTheGrantsOnceAndNothingElse(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let grants = try Self.randomGrants(&generator, securables: 12, grantees: 5)
    let costs = [(1, 0), (0, 1)].map { StatementCost(statement: .seconds($0.0), rowRewrite: .seconds($0.1)) }
    for cost in costs + [.measured] {
      let covered = GrantRectangle.rectangles(covering: grants, cost: cost).flatMap(\.grants)
      #expect(covered.count == grants.count)
      #expect(Set(covered) == grants)
    }
  }

  @Test func grantsAreCoveredTheCheaperWay() throws {
    // Each table has grantees of its own, each grantee has every second of some.
    var grants: Set<Grant> = []
    for oid in 1...100 as ClosedRange<UInt32> {
      for number in 0..<4 where oid & (1 << UInt32(number)) != 0 {
        grants.insert(
          Grant(grantee: try Self.role(number), securable: SecurableOID(kind: .table, oid: oid), privilege: .select))
      }
    }
    let statements = GrantRectangle.rectangles(
      covering: grants, cost: StatementCost(statement: .milliseconds(10), rowRewrite: .zero))
    #expect(statements.count == 4, "one for each grantee")
    let rewrites = GrantRectangle.rectangles(
      covering: grants, cost: StatementCost(statement: .zero, rowRewrite: .milliseconds(1)))
    #expect(rewrites.count == 15, "each table once")
    #expect(rewrites.reduce(0) { $0 + $1.securables.count } == Set(grants.map(\.securable)).count)
  }

  @Test func equalGrantsNeedNoStatement() throws {
    let grants = try Self.grants(1...3, 1...3)
    #expect(GrantDiff(desired: grants, observed: grants).isEmpty)
    #expect(GrantRectangle.rectangles(covering: []).isEmpty)
  }

  @Test func aStatementStaysWithinItsLimitsAndOrder() throws {
    let rectangles = GrantRectangle.rectangles(covering: try Self.grants(1...101, 1...201))
    #expect(rectangles.count == 4)
    #expect(rectangles.allSatisfy { $0.securables.count <= 100 && $0.grantees.count <= 200 })
    #expect(rectangles.allSatisfy { $0.securables == $0.securables.sorted() })
    #expect(rectangles.first?.securables.first?.oid == 1)
    #expect(rectangles.last?.securables.last?.oid == 101)
  }

  @Test func privilegesThatGoTogetherShareAStatement() throws {
    var grants: Set<Grant> = []
    for privilege in AccessLevel.write.privileges(on: .table) {
      for oid in 1...50 as ClosedRange<UInt32> {
        let securable = SecurableOID(kind: .table, oid: oid)
        grants.insert(Grant(grantee: try Self.role(1), securable: securable, privilege: privilege))
      }
    }
    let rectangles = GrantRectangle.rectangles(covering: grants)
    #expect(rectangles.count == 1)
    #expect(rectangles.first?.privileges == [.select, .insert, .update, .delete, .truncate])
  }

  @Test func whatGrantsNeedComesFirstAndGoesLast() throws {
    let role = try Self.role(1)
    let grants = Set([
      Grant(grantee: role, securable: SecurableOID(kind: .view, oid: 1), privilege: .select),
      Grant(grantee: role, securable: SecurableOID(kind: .schema, oid: 2), privilege: .usage),
      Grant(grantee: role, securable: SecurableOID(kind: .database, oid: 3), privilege: .connect),
      Grant(grantee: role, securable: SecurableOID(kind: .sequence, oid: 4), privilege: .usage),
    ])
    let order = GrantDiff(desired: grants, observed: []).grantRectangles.map(\.family)
    #expect(order == [.database, .schema, .table, .sequence])
    #expect(GrantDiff(desired: [], observed: grants).revokeRectangles.map(\.family) == order.reversed())
  }

  @Test func membershipsAreChangedOneRoleAStatement() throws {
    let (first, second) = (try RoleName("first"), try RoleName("second"))
    let many = Set(try (1...1_500).map(Self.role))
    let diff = MembershipDiff(
      desired: [first: many, second: [try Self.role(1)]],
      observed: try [1, 2].map { try Self.membership(second, $0) })
    #expect(diff.grants.map(\.role) == [first, first])
    #expect(diff.grants.map(\.members.count) == [1_000, 500])
    #expect(Set(diff.grants.flatMap(\.members)) == many)
    #expect(diff.revokes == [MembershipChange(role: second, members: [try Self.role(2)])])
    #expect(
      MembershipDiff(desired: [first: many], observed: try (1...1_500).map { try Self.membership(first, $0) }).isEmpty)
  }

  /// What an observed membership of somebody who should (or should not) be a member comes to.
  @Test(
    arguments: [
      // As Sluice makes them.
      (true, .init(), ""), (false, .init(), "revoke"),
      // Of our making, with other options.
      (true, .init(inherits: false), "grant"), (true, .init(canSet: true), "revoke grant"),
      (true, .init(isAdmin: true), "revoke grant"), (true, .init(inherits: false, canSet: true), "revoke grant"),
      (false, .init(inherits: false, canSet: true), "revoke"),
      // By others.
      (true, .init(isOurs: false), "revoke grant"), (false, .init(isOurs: false), "revoke"),
      (true, .init(isOurs: false, isRemovable: false), "grant"),
      (false, .init(isOurs: false, isRemovable: false), "residual"),
      (false, .init(inherits: false, canSet: true, isOurs: false, isRemovable: false), "residual"),
      (true, .init(isAdmin: true, isOurs: false, isRemovable: false), "grant residual"),
    ] as [(Bool, Options, String)])
  func aMembershipIsComparedWithItsOptionsAndItsGrantor(isDesired: Bool, options: Options, expected: String) throws {
    let (role, member, other) = (try RoleName("audience"), try Self.role(1), try RoleName("other"))
    let membership = Membership(
      role: role, member: member, grantor: other, inherits: options.inherits, canSet: options.canSet,
      isAdmin: options.isAdmin, isOurs: options.isOurs, isRemovable: options.isRemovable)
    let diff = MembershipDiff(desired: [role: isDesired ? [member] : []], observed: [membership])
    let words = [
      diff.revokes.isEmpty ? nil : "revoke", diff.grants.isEmpty ? nil : "grant",
      diff.residual.isEmpty ? nil : "residual",
    ]
    #expect(words.compactMap(\.self).joined(separator: " ") == expected)
    #expect(diff.revokes.allSatisfy { $0.grantor == (options.isOurs ? nil : other) })
  }

  struct Options: Sendable {
    var (inherits, canSet, isAdmin) = (true, false, false)
    var (isOurs, isRemovable) = (true, true)

    init(
      inherits: Bool = true, canSet: Bool = false, isAdmin: Bool = false, isOurs: Bool = true, isRemovable: Bool = true
    ) {
      (self.inherits, self.canSet, self.isAdmin) = (inherits, canSet, isAdmin)
      (self.isOurs, self.isRemovable) = (isOurs, isRemovable)
    }
  }

  private static func membership(_ role: RoleName, _ member: Int) throws -> Membership {
    Membership(role: role, member: try Self.role(member), grantor: try RoleName("manager"))
  }

  @Test(
    arguments: [
      (.read, .table, [.select]),
      (.write, .table, [.select, .insert, .update, .delete, .truncate]),
      (.write, .partitionedTable, [.select, .insert, .update, .delete, .truncate]),
      (.write, .view, [.select, .insert, .update, .delete]),
      (.write, .foreignTable, [.select, .insert, .update, .delete]),
      (.write, .materializedView, [.select]), (.read, .schema, [.usage]), (.write, .database, [.connect]),
      (.read, .sequence, []), (.write, .sequence, [.usage]),
    ] as [(AccessLevel, SecurableKind, Set<Privilege>)])
  func anAccessLevelIsASetOfPrivileges(_ access: AccessLevel, _ kind: SecurableKind, _ privileges: Set<Privilege>) {
    #expect(access.privileges(on: kind) == privileges)
  }

  @Test func writingIncludesReadingOnEveryKind() {
    for kind in SecurableKind.allCases {
      #expect(AccessLevel.write.privileges(on: kind).isSuperset(of: AccessLevel.read.privileges(on: kind)))
    }
    #expect(AccessLevel.write.includes(.read) && !AccessLevel.read.includes(.write))
  }
}
