import Governance

/// A level of the tree below a connection, as the last sync saw it.
package struct Securable: Sendable {
  package enum Setting: String, Sendable { case enabled, disabled, inherit }

  package let id: Int64
  package let connection: Int64
  /// The database it lives in; its own id for a database.
  package let database: Int64
  package let parent: Int64?
  package let kind: SecurableKind
  package let path: SecurablePath
  package let oid: UInt32
  package let owner: String
  package let setting: Setting
  /// What the setting and the levels above come to.
  package let isEnabled: Bool
}

/// What a sync changed in the tree, by securable id.
package struct TreeChanges: Sendable, Equatable {
  package var added: [Int64] = []
  package var renamed: [Int64] = []
  /// Those of the renamed that are in another schema now: their grants went along, USAGE on the schema did not.
  package var moved: [Int64] = []
  /// The same name with a new OID, or found again after it was gone: granted again.
  package var recreated: [Int64] = []
  package var dropped: [Int64] = []

  package init() {}

  package var isEmpty: Bool { added.isEmpty && renamed.isEmpty && recreated.isEmpty && dropped.isEmpty }

  package static func + (left: TreeChanges, right: TreeChanges) -> TreeChanges {
    var sum = left
    sum.added += right.added
    sum.renamed += right.renamed
    sum.moved += right.moved
    sum.recreated += right.recreated
    sum.dropped += right.dropped
    return sum
  }
}

/// A database that a crawl found in the target.
package struct CrawledDatabase: Sendable {
  package let oid: UInt32
  package let name: String
  package let owner: String
  package init(oid: UInt32, name: String, owner: String) {
    self.oid = oid
    self.name = name
    self.owner = owner
  }
}

/// What the tokens that a crawl read mean something in, and the token of the database itself.
package struct CrawlOrigin: Sendable, Equatable {
  /// Tokens of another origin say nothing.
  package let text: String
  /// Moves with every grant on the database.
  package let token: Int64

  package init(text: String, token: Int64) {
    self.text = text
    self.token = token
  }
}
