/// What is known of an expression's value before it is evaluated.
indirect enum ConditionType: Sendable, Hashable, CustomStringConvertible {
  case bool
  case int
  case string
  case list(ConditionType)
  /// A user's attribute: a string, or a list of strings where it has several values.
  case attribute
  /// Only an element of an empty list: a list's elements are of one type.
  case unknown

  /// Whether a value of the one can equal a value of the other.
  func isComparable(to other: ConditionType) -> Bool {
    switch (self, other) {
    case (.unknown, _), (_, .unknown): true
    case (.attribute, .attribute), (.attribute, .string), (.string, .attribute): true
    case (.attribute, .list(let element)), (.list(let element), .attribute): element.isComparable(to: .string)
    case (.list(let left), .list(let right)): left.isComparable(to: right)
    default: self == other
    }
  }

  var canBeBoolean: Bool { self == .bool || self == .unknown }
  var canBeString: Bool { self == .string || self == .attribute || self == .unknown }

  /// The type of its elements; nil if it cannot be a list.
  var element: ConditionType? {
    switch self {
    case .list(let element): element
    case .attribute: .string
    case .unknown: .unknown
    case .bool, .int, .string: nil
    }
  }

  /// The type that covers both of two comparable ones.
  func joined(with other: ConditionType) -> ConditionType {
    switch (self, other) {
    case (.unknown, let known), (let known, .unknown): known
    case (.list(let left), .list(let right)): .list(left.joined(with: right))
    case (.attribute, _), (_, .attribute): .attribute
    default: self
    }
  }

  var description: String {
    switch self {
    case .bool: "a boolean"
    case .int: "an integer"
    case .string: "a string"
    case .list: "a list"
    case .attribute: "an attribute (a string or a list of strings)"
    case .unknown: "a value"
    }
  }
}
