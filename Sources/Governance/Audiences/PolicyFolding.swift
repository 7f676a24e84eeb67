/// Puts the facts of tables into policies' conditions and merges them, doing each different piece of work once.
struct PolicyFolding {
  private struct FoldKey: Hashable {
    let policy: Int
    let facts: [ConditionValue]
  }

  private let policies: [SubscriptionPolicy]
  /// The facts that each policy's condition asks for, in a fixed order.
  private let facts: [[TableFact]]
  private var foldNumbers: [FoldKey: Int] = [:]
  private var folds: [(policy: Int, condition: Condition)] = []
  private var merged: [[Int]: Condition] = [:]

  init(_ policies: [SubscriptionPolicy]) {
    self.policies = policies
    facts = policies.map { policy in
      let asked = policy.condition.references.tableFacts
      return TableFact.allCases.filter(asked.contains)
    }
  }

  /// The condition that those of the policies which match the table set together, and the names of those that can
  /// admit; nil if none of them grants.
  mutating func condition(
    of matching: [Int], for table: TableFacts
  ) -> (condition: Condition, policies: Set<String>)? {
    let numbers = matching.map { fold($0, table) }.filter { number in
      let fold = folds[number]
      return policies[fold.policy].effect == .guardrail || !fold.condition.admitsNobody
    }
    let granting = numbers.filter { policies[folds[$0].policy].effect == .grant }
    guard !granting.isEmpty else { return nil }
    let names = Set(numbers.map { policies[folds[$0].policy].name })
    if let known = merged[numbers] { return (known, names) }
    let guarding = numbers.filter { policies[folds[$0].policy].effect == .guardrail }
    let grant = Condition.any(of: granting.map { folds[$0].condition })
    let condition = Condition.all(of: [grant] + guarding.map { folds[$0].condition })
    merged[numbers] = condition
    return (condition, names)
  }

  private mutating func fold(_ policy: Int, _ table: TableFacts) -> Int {
    let key = FoldKey(policy: policy, facts: facts[policy].map { table.value(of: $0) })
    if let number = foldNumbers[key] { return number }
    folds.append((policy, policies[policy].condition.partialEvaluation(table: table)))
    foldNumbers[key] = folds.count - 1
    return folds.count - 1
  }
}
