extension Rule {
  static let statementRules: [Rule] = [
    Rule(
      name: "a statement says what it is for",
      remedy: "Begin with a comment: what it does, what goes in, what comes back",
      broken: SourceFile(path: "Sources/Metadata/Statements/a.sql", text: "SELECT 1;\n-- one"),
      kept: SourceFile(path: "Sources/Metadata/Statements/a.sql", text: "-- One row with the number one.\nSELECT 1;"),
      check: { file in
        guard file.isSource, !file.isSwift else { return [] }
        let first = file.lines.first { !$0.trimmed.isEmpty } ?? ""
        let text = first.drop { $0 == "-" || $0 == "/" || $0 == "*" || $0.isWhitespace }
        let isComment = first.hasPrefix("--") || first.hasPrefix("/*")
        return isComment && !text.isEmpty ? [] : [Finding(at: 0, "the file does not begin with a comment")]
      }),
    Rule(
      name: "migrations have a version and a subject",
      remedy: "Name it like V0007_create_outbox.sql",
      broken: SourceFile(path: "Sources/Metadata/Migrations/outbox.sql", text: ""),
      kept: SourceFile(path: "Sources/Metadata/Migrations/V0007_create_outbox.sql", text: ""),
      check: { file in
        guard file.components.dropLast().last == "Migrations", file.path.hasSuffix(".sql") else { return [] }
        return file.name.contains(#/^V\d{4}_[a-z0-9_]+\.sql$/#) ? [] : [Finding(at: 0, "the migration has no version")]
      }),
  ]
}
