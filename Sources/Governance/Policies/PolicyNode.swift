/// A part of a document, with its place. Whoever reads YAML or JSON hands policies over in this form.
package struct PolicyNode: Sendable, Hashable {
  package indirect enum Value: Sendable, Hashable {
    case string(String)
    case bool(Bool)
    case int(Int64)
    case list([PolicyNode])
    /// In the order of the document; a key may stand twice here, and is then refused.
    case map([Entry])
    case null
  }

  package struct Entry: Sendable, Hashable {
    package let key: String
    package let position: TextPosition
    package let node: PolicyNode

    package init(key: String, position: TextPosition, node: PolicyNode) {
      self.key = key
      self.position = position
      self.node = node
    }
  }

  package let value: Value
  package let position: TextPosition

  package init(_ value: Value, at position: TextPosition) {
    self.value = value
    self.position = position
  }

  var typeName: String {
    switch value {
    case .string: "text"
    case .bool: "true or false"
    case .int: "a number"
    case .list: "a list"
    case .map: "a map"
    case .null: "nothing"
    }
  }
}
