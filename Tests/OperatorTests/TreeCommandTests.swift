import SluiceTestKit
import Testing

/// `tree`: what the last sync found.
@Suite(.timeLimit(.minutes(2)))
struct TreeCommandTests {
  private struct Row: Decodable {
    struct Column: Decodable, Equatable { let name, type: String }
    let path, kind: String
    let columns: [Column]?
  }

  @Test func aTableIsShownWithItsColumns() async throws {
    try await Installation.run { installation in
      try await installation.execute(
        """
        with main as (
          insert into securable (connection_id, kind, name, oid, owner)
          values (\(installation.connection.id), 'database', 'main', 1, 'o') returning *
        ), sales as (
          insert into securable (connection_id, parent_id, database_id, kind, name, oid, owner)
          select connection_id, id, id, 'schema', 'sales', 2, 'o' from main returning *
        ), orders as (
          insert into securable (connection_id, parent_id, database_id, kind, name, oid, owner)
          select connection_id, id, database_id, 'table', 'orders', 3, 'o' from sales returning *
        )
        insert into relation_columns (securable_id, token, names, types)
        select id, 1, array['id', 'a b'], array['bigint', 'numeric(10,2)'] from orders
        """)
      let table: [Row] = try await installation.sluice("tree", "prod/main/sales/orders", "-o", "json").json()
      #expect(table.map(\.kind) == ["table"])
      #expect(table.first?.columns == [.init(name: "id", type: "bigint"), .init(name: "a b", type: "numeric(10,2)")])
      let shown = try await installation.sluice("tree", "prod/main/sales/orders")
      #expect("\(shown)".contains("type=numeric(10,2)"), "\(shown)")
      let schema: [Row] = try await installation.sluice("tree", "prod/main/sales", "-o", "json").json()
      #expect(schema.count == 2 && schema.allSatisfy { $0.columns == nil })
    }
  }
}
