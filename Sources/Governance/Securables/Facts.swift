/// The metadata database's number of a user.
package struct UserID: RawRepresentable, Sendable, Hashable, Comparable {
  package let rawValue: Int64
  package init(rawValue: Int64) { self.rawValue = rawValue }
  package static func < (left: UserID, right: UserID) -> Bool { left.rawValue < right.rawValue }
}

/// The metadata database's number of a securable.
package struct SecurableID: RawRepresentable, Sendable, Hashable, Comparable {
  package let rawValue: Int64
  package init(rawValue: Int64) { self.rawValue = rawValue }
  package static func < (left: SecurableID, right: SecurableID) -> Bool { left.rawValue < right.rawValue }
}

/// What conditions may ask about a user.
package struct UserFacts: Sendable, Hashable {
  package let id: UserID
  package let name: String
  package let email: String?
  /// Each once, in code point order.
  package let groups: [String]
  /// Each value once, in code point order. An attribute without values is left out: the user does not have it, so a
  /// condition that asks for it cannot be decided (an empty list would satisfy `all`).
  package let attributes: [String: [String]]

  package init(
    id: UserID, name: String, email: String? = nil, groups: [String] = [], attributes: [String: [String]] = [:]
  ) {
    self.id = id
    self.name = name
    self.email = email
    self.groups = groups.exactlySorted
    self.attributes = attributes.mapValues(\.exactlySorted).filter { !$0.value.isEmpty }
  }
}

/// What conditions and targets may ask about a data source.
package struct TableFacts: Sendable, Hashable {
  package let id: SecurableID
  package let connection: String
  package let database: String
  package let schema: String
  package let name: String
  /// Those of the table, of its parents and of its columns; each once, in code point order.
  package let tags: [String]
  package let kind: SecurableKind

  package init(
    id: SecurableID, connection: String, database: String, schema: String, name: String, tags: [String] = [],
    kind: SecurableKind = .table
  ) {
    self.id = id
    self.connection = connection
    self.database = database
    self.schema = schema
    self.name = name
    self.tags = tags.exactlySorted
    self.kind = kind
  }
}
