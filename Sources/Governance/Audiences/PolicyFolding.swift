/// Puts the facts of tables into policies' conditions, doing each different piece of work once.
struct PolicyFolding {
  /// What one grant policy comes to for a table, with every guardrail that concerns its access there.
  struct Term {
    let access: AccessLevel
    let condition: Condition
    /// By name.
    let policies: [String]
  }

  /// A table lists at most this many audiences for an access: its access control list is rewritten by every grant, and
  /// holds 500 entries in all. Beyond it the table's grant policies are one term.
  static let mostTerms = 100

  private struct FoldKey: Hashable {
    let policy: Int
    let facts: [ConditionValue]
  }

  private let policies: [SubscriptionPolicy]
  /// The facts that each policy's condition asks for, in a fixed order.
  private let facts: [[TableFact]]
  private var foldNumbers: [FoldKey: Int] = [:]
  private var folds: [(policy: Int, condition: Condition)] = []
  private var termNumbers: [[Int]: Int] = [:]
  /// By number, as `terms(of:for:)` returns them.
  private(set) var terms: [Term] = []

  init(_ policies: [SubscriptionPolicy]) {
    self.policies = policies
    facts = policies.map { policy in
      let asked = policy.condition.references.tableFacts
      return TableFact.allCases.filter(asked.contains)
    }
  }

  /// The numbers of the terms that those of the policies which match the table and concern one access come to. Whoever
  /// satisfies any of them is admitted: CEL's `(a || b) && g` is true for the same users as `a && g` or `b && g`.
  mutating func terms(of matching: [Int], for table: TableFacts) -> [Int] {
    let granting = matching.filter { policies[$0].effect == .grant }.map { fold($0, table) }
      .filter { !folds[$0].condition.admitsNobody }
    guard !granting.isEmpty else { return [] }
    let guarding = matching.filter { policies[$0].effect == .guardrail }.map { fold($0, table) }
    if granting.count > Self.mostTerms { return [term(granting, guarding)] }
    return granting.map { term([$0], guarding) }
  }

  private mutating func term(_ granting: [Int], _ guarding: [Int]) -> Int {
    let key = granting + guarding
    if let number = termNumbers[key] { return number }
    let grant = Condition.any(of: granting.map { folds[$0].condition })
    let condition = Condition.all(of: [grant] + guarding.map { folds[$0].condition })
    terms.append(
      Term(
        access: policies[folds[granting[0]].policy].access, condition: condition,
        policies: key.map { policies[folds[$0].policy].name }))
    termNumbers[key] = terms.count - 1
    return terms.count - 1
  }

  private mutating func fold(_ policy: Int, _ table: TableFacts) -> Int {
    let key = FoldKey(policy: policy, facts: facts[policy].map { table.value(of: $0) })
    if let number = foldNumbers[key] { return number }
    folds.append((policy, policies[policy].condition.partialEvaluation(table: table)))
    foldNumbers[key] = folds.count - 1
    return folds.count - 1
  }
}
