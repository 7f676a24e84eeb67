/// What a user may do with a table.
package enum Access: Int, Sendable, Comparable, CustomStringConvertible {
  case none, read, write

  package static func < (left: Access, right: Access) -> Bool { left.rawValue < right.rawValue }

  /// What the server calls it: all of them, and no others.
  package var privileges: Set<String> {
    switch self {
    case .none: []
    case .read: ["SELECT"]
    case .write: ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"]
    }
  }

  package var description: String {
    switch self {
    case .none: "nothing"
    case .read: "read"
    case .write: "write"
    }
  }
}

/// A table of the target; all of them are in one schema.
package struct TableName: Sendable, Hashable, Comparable, CustomStringConvertible {
  package let database: String
  package let table: String

  package init(database: String, table: String) {
    self.database = database
    self.table = table
  }

  package static func < (left: TableName, right: TableName) -> Bool {
    (left.database, left.table) < (right.database, right.table)
  }

  package var description: String { "\(database)/\(Population.schema)/\(table)" }
  /// As `sluice` names it.
  var path: String { "\(Population.connection(of: database))/\(description)" }
}

/// A user and a table.
package struct AccessKey: Sendable, Hashable, CustomStringConvertible {
  package let user: String
  package let table: TableName

  package init(user: String, table: TableName) {
    self.user = user
    self.table = table
  }

  package var description: String { "\(user) on \(table)" }
}
