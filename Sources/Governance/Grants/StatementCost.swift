/// What GRANT and REVOKE statements cost a server.
package struct StatementCost: Sendable {
  /// A statement: parsing it, finding what it names, the way there and back.
  package let statement: Duration
  /// A statement rewrites one catalog row for each of its securables.
  package let rowRewrite: Duration

  package init(statement: Duration, rowRewrite: Duration) {
    self.statement = statement
    self.rowRewrite = rowRewrite
  }

  /// On PostgreSQL 15 to 18 on two cores (GRANTS.md d-2); the ratio of the two is what counts.
  package static let measured = StatementCost(statement: .microseconds(70), rowRewrite: .microseconds(30))

  package func of(_ rectangles: [GrantRectangle]) -> Duration {
    statement * rectangles.count + rowRewrite * rectangles.reduce(0) { $0 + $1.securables.count }
  }
}
