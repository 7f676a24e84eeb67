import Metadata
import Platform
import Postgres

/// What the role that Sluice logs in as could not grant, in every database that it can connect to: told at
/// registration, and by every job that meets it.
struct GrantOptionCheck {
  /// Databases that are looked at, each with a session of its own.
  static let databaseLimit = 50
  /// Statements of a remedy.
  private static let statementLimit = 8
  private static let name = "grant options"

  let targets: Targets
  let connection: Connection
  let secret: Secret

  /// A line for each database where something is missing, or one for all of them.
  func lines(in session: PostgresConnection) async throws -> [CheckLine] {
    let found = try await session.query(statement(PackageResources.check_databases_sql)).rows
      .map { (name: try $0.text("name"), isOpen: try $0.bool("is_open")) }
    let open = found.filter(\.isOpen).map(\.name)
    var lines = [try await line(for: connection.database, in: session)].compactMap(\.self)
    for database in open.prefix(Self.databaseLimit) where database != connection.database {
      if let line = await line(forOther: database) { lines.append(line) }
    }
    if !lines.isEmpty { return lines }
    let closed = found.filter { !$0.isOpen }.map(\.name) + open.dropFirst(Self.databaseLimit)
    let count = min(open.count, Self.databaseLimit)
    let rest =
      closed.isEmpty ? "" : "; not looked at, as there is no way in or there are too many: \(Self.list(closed))"
    return [
      CheckLine(
        name: Self.name, verdict: .passed,
        message: "on everything in \(count) \(count == 1 ? "database" : "databases")\(rest)", remedy: nil)
    ]
  }

  private func line(forOther database: String) async -> CheckLine? {
    do {
      let session = try await targets.open(connection, secret: secret, database: database)
      do {
        let line = try await line(for: database, in: session)
        await session.close()
        return line
      } catch {
        await session.close()
        throw error
      }
    } catch {
      let failure = Targets.classify(midway: error)
      return CheckLine(
        name: "\(Self.name) in \(database)", verdict: .warning, message: "not looked at: \(failure.message)",
        remedy: failure.remedy)
    }
  }

  private func line(for database: String, in session: PostgresConnection) async throws -> CheckLine? {
    let rows = try await session.query(statement(PackageResources.check_grant_options_sql)).rows
    let missing = try rows.map(MissingOption.init)
    guard !missing.isEmpty else { return nil }
    let role = try PostgresIdentifier(connection.username).quoted
    let more = missing.count > Self.statementLimit ? "; the rest is told once this is done" : ""
    return CheckLine(
      name: database == connection.database ? Self.name : "\(Self.name) in \(database)", verdict: .warning,
      message: "missing: " + missing.prefix(Self.statementLimit).map(\.text).joined(separator: "; "),
      remedy: "have the owners run: "
        + missing.prefix(Self.statementLimit).map { $0.statement(role) }.joined(separator: "; ") + more)
  }

  private static func list(_ names: [String]) -> String {
    names.prefix(10).joined(separator: ", ") + (names.count > 10 ? " and \(names.count - 10) more" : "")
  }
}

/// Privileges that lack the grant option on some securables of a schema.
private struct MissingOption {
  let family: String
  /// Quoted for SQL, as the names are.
  let schema: String
  let privileges: String
  let names: [String]
  let count: Int

  init(_ row: PostgresRow) throws {
    family = try row.text("family")
    schema = try row.text("schema")
    privileges = try row.text("privileges")
    names = try row.textArray("names")
    count = Int(try row.int("number"))
  }

  var text: String {
    let more = count > names.count ? " and \(count - names.count) more" : ""
    return "\(privileges) on \(family.lowercased()) \(names.joined(separator: ", "))\(more)"
  }

  func statement(_ role: String) -> String {
    let on = count > names.count ? "ALL \(family)S IN SCHEMA \(schema)" : "\(family) \(names.joined(separator: ", "))"
    return "GRANT \(privileges) ON \(on) TO \(role) WITH GRANT OPTION"
  }
}
