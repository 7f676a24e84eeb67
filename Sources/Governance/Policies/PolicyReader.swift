/// Reads the fields of one map of a document, and keeps all faults rather than stop at the first.
struct PolicyReader {
  private let entries: [PolicyNode.Entry]
  private let position: TextPosition
  private let path: String
  var faults: [PolicyError.Fault] = []

  init(_ node: PolicyNode, path: String = "", keys: [String]) {
    self.path = path
    position = node.position
    guard case .map(let entries) = node.value else {
      self.entries = []
      refuse("", at: node.position, "expected a map, found \(node.typeName)")
      return
    }
    self.entries = entries
    var seen: Set<String> = []
    for entry in entries {
      if !keys.contains(entry.key) {
        refuse(entry.key, at: entry.position, "is not known here; known are \(keys.joined(separator: ", "))")
      } else if !seen.insert(entry.key).inserted {
        refuse(entry.key, at: entry.position, "stands here twice")
      }
    }
  }

  mutating func refuse(_ key: String, at position: TextPosition? = nil, _ message: String) {
    let place = [path, key].filter { !$0.isEmpty }.joined(separator: ".")
    faults.append(PolicyError.Fault(position: position ?? self.position, path: place, message: message))
  }

  func node(_ key: String) -> PolicyNode? { entries.first { $0.key == key }?.node }

  mutating func required(_ key: String) -> PolicyNode? {
    if let node = node(key) { return node }
    refuse(key, "is missing")
    return nil
  }

  /// The text of a field, or nil with a fault noted; a field that is not there is only a fault if it is required.
  mutating func text(_ key: String, isRequired: Bool = true) -> (text: String, position: TextPosition)? {
    guard let node = isRequired ? required(key) : node(key) else { return nil }
    guard case .string(let text) = node.value else {
      refuse(key, at: node.position, "expected text, found \(node.typeName)\(Self.advice(for: node))")
      return nil
    }
    return (text, node.position)
  }

  /// One of the named choices.
  mutating func choice<Choice>(_ key: String, isRequired: Bool = true) -> Choice?
  where Choice: RawRepresentable<String> & CaseIterable {
    guard let (text, position) = text(key, isRequired: isRequired) else { return nil }
    if let choice = Choice(rawValue: text) { return choice }
    let choices = Choice.allCases.map(\.rawValue).joined(separator: ", ")
    refuse(key, at: position, "\"\(text)\" is not one of \(choices)")
    return nil
  }

  /// The patterns of a field: one text, or a list of alternatives. Empty if the field is not there.
  mutating func globs(_ key: String) -> [Glob] {
    guard let node = node(key) else { return [] }
    guard case .list(let nodes) = node.value else { return [glob(node, key)].compactMap(\.self) }
    if nodes.isEmpty { refuse(key, at: node.position, "is an empty list; leave the field out to mean any") }
    return nodes.enumerated().compactMap { glob($1, "\(key)[\($0)]") }
  }

  private mutating func glob(_ node: PolicyNode, _ key: String) -> Glob? {
    guard case .string(let text) = node.value else {
      refuse(key, at: node.position, "expected text, found \(node.typeName)\(Self.advice(for: node))")
      return nil
    }
    do { return try Glob(text) } catch {
      refuse(key, at: node.position, error.message)
      return nil
    }
  }

  private static func advice(for node: PolicyNode) -> String {
    switch node.value {
    case .int, .bool: "; put it in quotes"
    default: ""
    }
  }
}
