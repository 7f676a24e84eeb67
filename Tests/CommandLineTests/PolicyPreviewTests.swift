import Governance
import Metadata
import Testing

@testable import sluice

@Suite struct PolicyPreviewTests {
  private static func policy(_ name: String, group: String, table: String = "*") throws -> SubscriptionPolicy {
    SubscriptionPolicy(
      name: name, effect: .grant, access: .read, target: PolicyTarget(table: [try Glob(table)]),
      condition: try Condition.parse("'\(group)' in user.groups"))
  }

  /// The users number n are in the group of that number, in `even` or `odd`, and in `all`.
  private static func preview(users: Int64, tables: Int64, roles: Int) -> PolicyPreview {
    var inputs = FormInputs()
    inputs.limits = FormLimits(roleBudget: roles)
    return PolicyPreview(
      users: (1...users).map {
        UserFacts(
          id: UserID(rawValue: $0), name: "u\($0)", groups: ["g\($0)", $0 % 2 == 0 ? "even" : "odd", "all"])
      },
      tables: (1...tables).map {
        TableFacts(
          id: SecurableID(rawValue: $0), connection: "prod", database: "d", schema: "s", name: "t\($0)")
      }, inputs: ["prod": inputs], now: Timestamp(secondsSinceEpoch: 0))
  }

  private static func lines(_ effects: [PolicyPreview.Effect]) -> [String] {
    effects.map { "\($0.change.rawValue) \($0.user) \($0.path) \($0.policies.joined(separator: ","))" }
  }

  @Test func onlyThePoliciesThatAdmitAUserAreNamed() throws {
    let (even, one) = (try Self.policy("even", group: "even"), try Self.policy("one", group: "g1"))
    let effects = try Self.preview(users: 3, tables: 1, roles: 9).effects(from: [], to: [even, one])
    #expect(Self.lines(effects) == ["gains u1 prod/d/s/t1 one", "gains u2 prod/d/s/t1 even"])
  }

  @Test func whoIsAdmittedByAnotherPolicyGainsAndLosesNothing() throws {
    let (all, odd) = (try Self.policy("all", group: "all"), try Self.policy("odd", group: "odd", table: "t1"))
    let preview = Self.preview(users: 4, tables: 2, roles: 9)
    #expect(try preview.effects(from: [all], to: [all, odd]).isEmpty)
    let losses = try preview.effects(from: [all, odd], to: [odd])
    #expect(
      Self.lines(losses) == [
        "loses u1 prod/d/s/t2 all", "loses u2 prod/d/s/t1 all", "loses u2 prod/d/s/t2 all",
        "loses u3 prod/d/s/t2 all", "loses u4 prod/d/s/t1 all", "loses u4 prod/d/s/t2 all",
      ])
  }

  @Test func whatDoesNotFitIsNoGain() throws {
    let all = try Self.policy("all", group: "all")
    let effects = try Self.preview(users: 201, tables: 1, roles: 0).effects(from: [], to: [all])
    #expect(effects.count == 201 && effects.allSatisfy { $0.change == .unplaced })
    let fewer = try Self.preview(users: 200, tables: 1, roles: 0).effects(from: [], to: [all])
    #expect(fewer.count == 200 && fewer.allSatisfy { $0.change == .gains })
  }
}
