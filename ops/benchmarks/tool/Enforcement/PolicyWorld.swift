import Foundation
import Governance

/// Overlapping policies as in an organisation: each table is under two or three of them, each user is in a quarter of
/// the groups that they admit. The same for the same size.
struct PolicyWorld: Sendable {
  static let schema = "s"

  let tables: [String]
  let users: [String]
  /// By policy: the indices of the users in its group.
  let members: [[Int]]
  /// How many pairs of a user and a table the policies come to.
  let pairs: Int
  /// Some of those pairs, all over the tables.
  let sample: [(user: String, table: String)]

  init(_ scale: EnforcementScale) {
    var random = SeededNumbers(state: 4)
    let users = (1...scale.users).map { String(format: "u%04d", $0) }
    members = (0..<scale.policies).map { _ in
      users.indices.filter { _ in random.below(100) < 25 }
    }
    var tables: [String] = []
    var sample: [(String, String)] = []
    var pairs = 0
    for number in 1...scale.tables {
      var policies: Set<Int> = []
      while policies.count < 2 + random.below(2) { policies.insert(random.below(scale.policies)) }
      let name = Self.tableName(number, policies: policies.sorted())
      tables.append(name)
      let admitted = policies.reduce(into: Set<Int>()) { [members] in $0.formUnion(members[$1]) }
      pairs += admitted.count
      let share = (number * scale.sampledPairs) / scale.tables - ((number - 1) * scale.sampledPairs) / scale.tables
      sample += admitted.sorted().prefix(share).map { (users[$0], name) }
    }
    self.users = users
    self.tables = tables
    self.pairs = pairs
    self.sample = sample
  }

  static func tableName(_ number: Int, policies: [Int]) -> String {
    String(format: "t%05d", number) + policies.map { String(format: "k%02d", $0) }.joined()
  }

  static func group(_ policy: Int) -> String { String(format: "g%02d", policy) }
  /// Every other user is in it.
  static let half = "half"

  /// Who is in the policy's group may read the tables that carry its number in their names.
  static func policy(_ number: Int, alsoIn other: String? = nil) throws -> SubscriptionPolicy {
    let condition = [group(number), other].compactMap(\.self).map { "\"\($0)\" in user.groups" }
    return SubscriptionPolicy(
      name: String(format: "policy-%02d", number), effect: .grant, access: .read,
      target: PolicyTarget(schema: [try Glob(schema)], table: [try Glob(String(format: "*k%02d*", number))]),
      condition: try Condition.parse(condition.joined(separator: " && ")))
  }
}

/// SplitMix64: the same numbers on every machine.
struct SeededNumbers {
  var state: UInt64

  mutating func below(_ limit: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int((mixed ^ (mixed >> 31)) % UInt64(limit))
  }
}
