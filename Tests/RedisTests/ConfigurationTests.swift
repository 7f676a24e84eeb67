import Platform
import Redis
import Testing

struct ConfigurationTests {
  @Test func urlNamesEverything() throws {
    let configuration = try RedisConfiguration(url: Secret("redis://ana:p%40ss@db.example:7000/3"))
    #expect(configuration.host == "db.example")
    #expect(configuration.port == 7000)
    #expect(configuration.user == "ana")
    #expect(configuration.password == Secret("p@ss"))
    #expect(configuration.database == 3)
    #expect(configuration.tls == nil)
  }

  @Test func shortURLHasDefaults() throws {
    let configuration = try RedisConfiguration(url: Secret("redis://localhost"))
    #expect(configuration.port == 6379)
    #expect(configuration.database == 0)
    #expect(configuration.user == nil && configuration.password == nil)
  }

  @Test func passwordNeedsNoUser() throws {
    let configuration = try RedisConfiguration(url: Secret("redis://:secret@localhost"))
    #expect(configuration.user == nil)
    #expect(configuration.password == Secret("secret"))
  }

  @Test func redissVerifiesByDefault() throws {
    let tls = try #require(try RedisConfiguration(url: Secret("rediss://localhost"), caFile: "/ca.pem").tls)
    #expect(tls.verifies)
    #expect(tls.caFile == "/ca.pem")
  }

  @Test func numericIPv6HostLosesItsBrackets() throws {
    let configuration = try RedisConfiguration(url: Secret("redis://[::1]:6380"))
    #expect(configuration.host == "::1")
    #expect(configuration.endpoint == "[::1]:6380")
  }

  @Test(arguments: [
    "http://u:hunter2@h", "redis+sentinel://u:hunter2@h", "redis://u:hunter2@h/notes", "redis://:hunter2@", "hunter2 %",
  ])
  func wrongURLIsRefusedWithoutRepeatingIt(url: String) {
    let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: Secret(url)) }
    #expect(error?.code == .configuration)
    #expect(error?.description.contains("hunter2") == false)
    #expect(error?.description.contains("rediss://") == true)
  }

  @Test func caFileWithoutTLSIsRefused() {
    #expect(throws: RedisError.self) { try RedisConfiguration(url: Secret("redis://h"), caFile: "/ca.pem") }
  }
}
