/// A value of the CEL subset.
package enum ConditionValue: Sendable, Hashable {
  case string(String)
  case bool(Bool)
  case int(Int64)
  case list([ConditionValue])

  static func texts(_ values: [String]) -> ConditionValue { .list(values.map(ConditionValue.string)) }

  /// CEL's equality: texts by code points, lists element by element, values of different types never equal.
  package static func == (left: ConditionValue, right: ConditionValue) -> Bool {
    switch (left, right) {
    case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
    case (.bool(let left), .bool(let right)): left == right
    case (.int(let left), .int(let right)): left == right
    case (.list(let left), .list(let right)): left == right
    default: false
    }
  }

  package func hash(into hasher: inout Hasher) {
    switch self {
    case .string(let text): hasher.combine(ExactText(text))
    case .bool(let truth): hasher.combine(truth)
    case .int(let number): hasher.combine(number)
    case .list(let elements): hasher.combine(elements)
    }
  }

  var typeName: String {
    switch self {
    case .string: "a string"
    case .bool: "a boolean"
    case .int: "an integer"
    case .list: "a list"
    }
  }
}
