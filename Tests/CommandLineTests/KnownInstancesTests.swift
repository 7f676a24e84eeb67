import Metadata
import Testing

@testable import sluice

@Suite struct KnownInstancesTests {
  private static func plain(_ host: String, port: Int = 5432, address: String? = nil) -> Connection {
    var connection = Connection(name: host, kind: .postgres, host: host, database: "d", username: "u")
    connection.port = port
    connection.hostAddress = address
    return connection
  }

  private static func lakebase(_ host: String, _ url: String, _ instance: String) -> Connection {
    var connection = Connection(name: host, kind: .lakebase, host: host, database: "d", username: "u")
    connection.workspaceURL = url
    connection.instance = .named(instance)
    return connection
  }

  @Test func oneServerIsOneInstanceInWhateverSpelling() {
    #expect(KnownInstances.describe(Self.plain("db.example.com"), Self.plain("DB.example.com.")))
    #expect(KnownInstances.describe(Self.plain("db.example.com", address: "10.0.0.1"), Self.plain("10.0.0.1")))
    #expect(KnownInstances.describe(Self.plain("a"), Self.plain("b")) == false)
    #expect(KnownInstances.describe(Self.plain("a"), Self.plain("a", port: 5433)) == false)
  }

  @Test func anInstanceIsKnownByItsNameInItsWorkspace() {
    let prod = Self.lakebase("one", "https://w.example.com", "prod")
    #expect(KnownInstances.describe(Self.lakebase("two", "https://W.example.com/", "prod"), prod))
    #expect(KnownInstances.describe(Self.lakebase("two", "https://w.example.com", "other"), prod) == false)
    #expect(KnownInstances.describe(Self.lakebase("two", "https://v.example.com", "prod"), prod) == false)
  }
}
