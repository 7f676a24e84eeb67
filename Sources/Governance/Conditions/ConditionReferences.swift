/// What a condition asks about: whose change can change its answer.
package struct ConditionReferences: Sendable, Hashable {
  /// Groups asked for by name.
  package internal(set) var groups: Set<String> = []
  /// Whether it looks at groups in another way too, so that any of them may matter.
  package internal(set) var asksForAnyGroup = false
  package internal(set) var attributes: Set<String> = []
  package internal(set) var asksForName = false
  package internal(set) var asksForEmail = false
  var tableFacts: Set<TableFact> = []

  /// Whether its answer can differ between tables.
  package var asksForTable: Bool { !tableFacts.isEmpty }
}

extension Condition {
  package var references: ConditionReferences {
    var references = ConditionReferences()
    expression.collect(into: &references)
    return references
  }

  package var referencedGroups: Set<String> { references.groups }
  package var referencedAttributes: Set<String> { references.attributes }
}

extension ConditionExpression {
  fileprivate func collect(into references: inout ConditionReferences) {
    switch self {
    case .member(.literal(.string(let group)), of: .user(.groups)): references.groups.insert(group)
    case .user(.groups): references.asksForAnyGroup = true
    case .user(.name): references.asksForName = true
    case .user(.email): references.asksForEmail = true
    case .attribute(let key): references.attributes.insert(key)
    case .table(let fact): references.tableFacts.insert(fact)
    default: for child in children { child.collect(into: &references) }
    }
  }
}
