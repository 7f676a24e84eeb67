/// The data sources that a policy is about: every given part must match, the patterns of a part are alternatives.
package struct PolicyTarget: Sendable, Hashable {
  package let connection: [Glob]
  package let database: [Glob]
  package let schema: [Glob]
  package let table: [Glob]
  /// The data source, one of its parents or one of its columns carries such a tag.
  package let tags: [Glob]

  static let keys = ["connection", "database", "schema", "table", "tags"]

  package init(
    connection: [Glob] = [], database: [Glob] = [], schema: [Glob] = [], table: [Glob] = [], tags: [Glob] = []
  ) {
    self.connection = Self.ordered(connection)
    self.database = Self.ordered(database)
    self.schema = Self.ordered(schema)
    self.table = Self.ordered(table)
    self.tags = Self.ordered(tags)
  }

  package func matches(_ facts: TableFacts) -> Bool {
    Self.matches(connection, facts.connection) && Self.matches(database, facts.database)
      && Self.matches(schema, facts.schema) && Self.matches(table, facts.name)
      && (tags.isEmpty || facts.tags.contains { Self.matches(tags, $0) })
  }

  /// The parts that are given, in the order in which documents list them.
  package var parts: [(key: String, globs: [Glob])] {
    zip(Self.keys, [connection, database, schema, table, tags]).filter { !$1.isEmpty }.map { ($0, $1) }
  }

  private static func matches(_ globs: [Glob], _ name: String) -> Bool {
    globs.isEmpty || globs.contains { $0.matches(name) }
  }

  private static func ordered(_ globs: [Glob]) -> [Glob] {
    Set(globs).sorted { ExactText($0.pattern) < ExactText($1.pattern) }
  }
}
