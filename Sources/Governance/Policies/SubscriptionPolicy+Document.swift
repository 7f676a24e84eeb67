extension SubscriptionPolicy {
  private static let keys = [
    "apiVersion", "kind", "name", "effect", "access", "state", "target", "condition", "expires",
  ]

  /// Reads a policy document.
  ///
  /// - Throws: all faults at once, each with its place and field.
  package init(document: PolicyNode) throws(PolicyError) {
    var reader = PolicyReader(document, keys: Self.keys)
    guard case .map = document.value else { throw PolicyError(faults: reader.faults) }
    Self.expect("sluice/v1", for: "apiVersion", &reader)
    Self.expect("SubscriptionPolicy", for: "kind", &reader)
    let name = Self.readName(&reader)
    let effect: Effect? = reader.choice("effect")
    // A guardrail without one restricts all access: the stricter reading.
    let access: AccessLevel? = reader.choice("access", isRequired: effect != .guardrail)
    let state: State? = reader.choice("state", isRequired: false)
    let target = Self.readTarget(&reader)
    let condition = Self.readCondition(&reader)
    let expires = Self.readExpiry(&reader)
    guard reader.faults.isEmpty, let name, let effect, let target, let condition else {
      throw PolicyError(faults: reader.faults.sorted { $0.position < $1.position })
    }
    self.init(
      name: name, effect: effect, access: access ?? .read, state: state ?? .active, target: target,
      condition: condition, expires: expires)
  }

  private static func expect(_ value: String, for key: String, _ reader: inout PolicyReader) {
    guard let (text, position) = reader.text(key), text != value else { return }
    reader.refuse(key, at: position, "is \"\(text)\"; only \"\(value)\" is known")
  }

  private static func readName(_ reader: inout PolicyReader) -> String? {
    guard let (name, position) = reader.text("name") else { return nil }
    let isPlain = name.unicodeScalars.allSatisfy { $0.isWordStart || $0.isDigit || $0 == "." || $0 == "-" }
    guard isPlain, (1...maximumNameLength).contains(name.utf8.count) else {
      let rule = "1 to \(maximumNameLength) letters, digits, \".\", \"_\" and \"-\""
      reader.refuse("name", at: position, "\"\(name)\" is not a name; it takes \(rule)")
      return nil
    }
    return name
  }

  private static func readTarget(_ reader: inout PolicyReader) -> PolicyTarget? {
    guard let node = reader.required("target") else { return nil }
    var inner = PolicyReader(node, path: "target", keys: PolicyTarget.keys)
    let target = PolicyTarget(
      connection: inner.globs("connection"), database: inner.globs("database"), schema: inner.globs("schema"),
      table: inner.globs("table"), tags: inner.globs("tags"))
    if target.parts.isEmpty, inner.faults.isEmpty {
      inner.refuse("", "names nothing; write connection: \"*\" to mean every data source")
    }
    reader.faults += inner.faults
    return target
  }

  private static func readCondition(_ reader: inout PolicyReader) -> Condition? {
    guard let (text, position) = reader.text("condition") else { return nil }
    do { return try Condition.parse(text) } catch {
      reader.refuse("condition", at: position, "in the expression, \(error)")
      return nil
    }
  }

  private static func readExpiry(_ reader: inout PolicyReader) -> Timestamp? {
    guard let (text, position) = reader.text("expires", isRequired: false) else { return nil }
    do { return try Timestamp(text) } catch {
      reader.refuse("expires", at: position, error.message)
      return nil
    }
  }
}
