/// A statement and its parameters.
package struct PostgresStatement: Sendable, Equatable {
  package var sql: String
  package var parameters: [PostgresValue]
  /// Under which name the session's server has it already.
  var preparedName: String?

  package init(_ sql: String, _ parameters: [PostgresValue] = []) {
    self.sql = sql
    self.parameters = parameters
  }

  /// The most parameters that the protocol counts.
  static let maximumParameters = 65_535

  /// The first word, which names the statement in errors without quoting anything of it.
  static func keyword(of sql: String) -> String? {
    var rest = sql[...].drop { $0.isWhitespace }
    while rest.hasPrefix("--") { rest = rest.drop { !$0.isNewline }.drop { $0.isWhitespace } }
    let word = rest.prefix { $0.isASCII && $0.isLetter }.prefix(20)
    return word.isEmpty ? nil : word.uppercased()
  }
}

/// What a statement returned.
package struct PostgresResult: Sendable {
  package let rows: [PostgresRow]
  /// What the server remarked while it ran, such as WARNING 01007 on a GRANT.
  package let notices: [PostgresNotice]
  /// Rows returned or changed.
  package let affected: Int
  /// Such as `INSERT 0 1`.
  package let commandTag: String
}

/// A remark of the server: a notice or a warning.
package struct PostgresNotice: Sendable, Equatable {
  /// `WARNING`, `NOTICE`, `INFO`, `LOG` or `DEBUG`, whatever the server's language.
  package let severity: String
  package let sqlState: SQLState
  package let message: String
}

/// What another session sent with NOTIFY.
package struct PostgresNotification: Sendable, Equatable {
  package let channel: String
  package let payload: String
  package let processID: Int32
}
