/// What a grant can go on. The raw values are those that the metadata database keeps.
package enum SecurableKind: String, Sendable, Hashable, CaseIterable, Codable {
  case database
  case schema
  case table
  case partitionedTable = "partitioned_table"
  case view
  case materializedView = "materialized_view"
  case foreignTable = "foreign_table"
  case sequence

  /// The statement that grants on it.
  package var family: SecurableFamily {
    switch self {
    case .database: .database
    case .schema: .schema
    case .table, .partitionedTable, .view, .materializedView, .foreignTable: .table
    case .sequence: .sequence
    }
  }

  /// Whether it can become a data source.
  package var isTableLike: Bool { family == .table }
}

/// Securables that one GRANT statement can name together: `ON DATABASE`, `ON SCHEMA`, `ON TABLE`, `ON SEQUENCE`.
///
/// In the order in which grants need each other: a table's grant is worth nothing without its schema's.
package enum SecurableFamily: String, Sendable, Hashable, CaseIterable, Comparable {
  case database
  case schema
  case table
  case sequence

  private var rank: Int {
    switch self {
    case .database: 0
    case .schema: 1
    case .table: 2
    case .sequence: 3
    }
  }

  package static func < (left: SecurableFamily, right: SecurableFamily) -> Bool { left.rank < right.rank }
}
