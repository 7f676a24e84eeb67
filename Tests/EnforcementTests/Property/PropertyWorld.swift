import Governance
import Metadata
import Postgres
import RandomTestKit
import SluiceTestKit
import Testing

/// A random target with people's own grants in it, a random desired state, and the record of what was done to both.
struct PropertyWorld {
  let bench: Bench
  let users: [String]
  /// Users who hold one subscription each, so many that schemas or the database have audiences for USAGE and CONNECT.
  private(set) var crowd: [String] = []
  let schemas: [String]
  /// Roles that Sluice has nothing to do with.
  let strangers: [String]
  var random: SeededGenerator
  /// What is subscribed by hand. A table that is made again under its name keeps what its name had, and one that was a
  /// partition for a while what it had before.
  var subscriptions: [Subscribed: AccessLevel] = [:]
  /// The tables of the last sync, as the metadata database knows them, by OID.
  var known: [UInt32: Known] = [:]
  private(set) var steps: [String] = []
  private var made = 0

  struct Pair: Hashable {
    let user: String
    let table: UInt32
  }

  struct Subscribed: Hashable {
    let user: String
    let securable: Int64
  }

  struct Known {
    let id: Int64
    let place: Place
    let isEnabled: Bool
  }

  struct Place: Hashable {
    let schema: String
    let name: String

    /// Quoted, for statements.
    var sql: String { get throws { "\(try PostgresIdentifier(schema).quoted).\(try PostgresIdentifier(name).quoted)" } }
  }

  static let groups = ["a", "b", "c"]
  /// What has broken programs that quote, escape, fold or cut names.
  private static let oddNames = [
    "sales", #"a"b"#, "semi;colon --", "dot.ted", "Ünï cödé", "slash/100%", "UPPER", "select", "émoji 🐘", " lead",
    String(repeating: "x", count: 55),
  ]

  static func make(_ seed: UInt64, in bench: Bench) async throws -> PropertyWorld {
    var random = SeededGenerator(seed: seed)
    let schemas = Array(oddNames.shuffled(using: &random).prefix(3))
    var users: [String] = []
    for name in ["u0", #"u"1"#, "Ü 2", "u;3"] { users.append(try await bench.addUser(name)) }
    let strangers = ["x", "y"].map { "\(bench.target.prefix)_\($0)" }
    var world = PropertyWorld(bench: bench, users: users, schemas: schemas, strangers: strangers, random: random)
    for group in groups { try await bench.addGroup(group, world.random.subset(users)) }
    for schema in schemas { try await bench.target.createSchema(try PostgresIdentifier(schema).quoted) }
    for _ in 0..<6 { try await world.createTable() }
    try await world.scatterForeign()
    try await world.settle()
    if seed.isMultiple(of: 4) { try await world.gatherCrowd() }
    return world
  }

  private mutating func gatherCrowd() async throws {
    let (prefix, count) = (bench.target.prefix, FormLimits.directGrantees + 1)
    crowd = (0..<count).map { "\(prefix)_crowd\($0)" }
    try await bench.execute(
      "insert into identity (name) select '\(prefix)_crowd' || n from generate_series(0, \(count - 1)) n")
    let bySchema = Dictionary(grouping: known.values) { $0.place.schema }
    let tables = bySchema.values.max { ($0.count, $0[0].id) < ($1.count, $1[0].id) }?.sorted { $0.id < $1.id } ?? []
    var requests: [SubscriptionRequest] = []
    for (number, user) in crowd.enumerated() {
      let table = tables[number % tables.count]
      let path = try bench.path(table.place.schema, table.place.name)
      requests.append(SubscriptionRequest(kind: .subscribe, user: user, path: path, access: .read))
      subscriptions[Subscribed(user: user, securable: table.id)] = .read
    }
    note("a crowd of \(count) is subscribed")
    _ = try await bench.apply(requests)
    #expect(try await bench.audienceRoles().count >= 2, "of a schema or table, and of the database")
    try await settle()
  }

  mutating func note(_ step: String) { steps.append(step) }

  /// For the text of a failure: the seed alone makes the same steps again, these tell what they were.
  var story: String { "steps:\n" + steps.joined(separator: "\n") }

  mutating func newName() -> String {
    made += 1
    return "\(random.pick(Self.oddNames).prefix(48)) \(made)"
  }

  /// Runs a script as the superuser and keeps it in the record.
  mutating func execute(_ script: String) async throws {
    note(script)
    try await bench.target.execute("set client_min_messages = error; " + script)
  }

  /// Every relation of the target that is there now.
  func places() async throws -> [UInt32: Place] {
    let rows = try await bench.target.rows(
      """
      select c.oid::bigint as oid, n.nspname as schema, c.relname as name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.oid >= 16384 and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
        and n.nspname not in ('pg_catalog', 'information_schema')
      """)
    return Dictionary(
      uniqueKeysWithValues: try rows.map {
        (UInt32(try $0.int("oid")), Place(schema: try $0.text("schema"), name: try $0.text("name")))
      })
  }

  mutating func somePlace() async throws -> Place? {
    let places = try await places()
    return places.isEmpty ? nil : places[random.pick(places.keys.sorted())]
  }

  /// Syncs, and runs everything until nothing is left.
  mutating func settle() async throws {
    note("settle")
    try await bench.drain(now: true)
    try await bench.sync()
    try await bench.drain(now: true)
    known = try await tree()
  }

  /// What the metadata database knows of the main database, by OID.
  func tree() async throws -> [UInt32: Known] {
    let rows = try await bench.metadata.read { [bench] session in
      try await session.connection.query(
        "select id, oid::bigint as oid, schema, name, enabled from data_source where connection_id = $1 and database = $2",
        [.int8(bench.connection.id), .text(bench.target.database)]
      ).rows
    }
    return Dictionary(
      uniqueKeysWithValues: try rows.map {
        (
          UInt32(try $0.int("oid")),
          Known(
            id: try $0.int("id"), place: Place(schema: try $0.text("schema"), name: try $0.text("name")),
            isEnabled: try $0.bool("enabled"))
        )
      })
  }
}
