import Platform
import Redis
import Testing

struct ConfigurationTests {
  @Test func urlNamesEverything() throws {
    let configuration = try RedisConfiguration(url: Secret("redis://ana:p%40ss@db.example:7000/3"))
    #expect(configuration.place == .server(RedisEndpoint(host: "db.example", port: 7000)))
    #expect(configuration.user == "ana")
    #expect(configuration.password == Secret("p@ss"))
    #expect(configuration.database == 3)
    #expect(configuration.tls == nil)
  }

  @Test func shortURLHasDefaults() throws {
    let configuration = try RedisConfiguration(url: Secret("redis://localhost"))
    #expect(configuration.place == .server(RedisEndpoint(host: "localhost", port: 6379)))
    #expect(configuration.database == 0)
    #expect(configuration.user == nil && configuration.password == nil)
  }

  @Test func passwordNeedsNoUser() throws {
    let configuration = try RedisConfiguration(url: Secret("redis://:secret@localhost"))
    #expect(configuration.user == nil)
    #expect(configuration.password == Secret("secret"))
  }

  @Test func redissVerifiesByDefault() throws {
    #expect(try RedisConfiguration(url: Secret("rediss://localhost")).tls?.verifies == true)
    #expect(try RedisConfiguration(url: Secret("rediss+sentinel://localhost/main")).tls?.verifies == true)
  }

  @Test func numericIPv6HostLosesItsBrackets() throws {
    let configuration = try RedisConfiguration(url: Secret("redis://[::1]:6380"))
    #expect(configuration.place == .server(RedisEndpoint(host: "::1", port: 6380)))
    #expect(configuration.endpoint == "[::1]:6380")
  }

  @Test func sentinelURLNamesThemAndThePrimary() throws {
    let url = "redis+sentinel://ana:one@a,[::2]:7000,c.example:7001/main/4?sentinel_user=bea&sentinel_password=t%26o"
    let configuration = try RedisConfiguration(url: Secret(url))
    let endpoints = [("a", 26379), ("::2", 7000), ("c.example", 7001)].map { RedisEndpoint(host: $0.0, port: $0.1) }
    let sentinels = RedisSentinels(endpoints: endpoints, primary: "main", user: "bea", password: Secret("t&o"))
    #expect(configuration.place == .watched(sentinels))
    #expect(configuration.user == "ana" && configuration.password == Secret("one"))
    #expect(configuration.database == 4)
    #expect(configuration.tls == nil)
  }

  @Test(arguments: [
    "http://u:hunter2@h", "redis://u:hunter2@h/notes", "redis://:hunter2@", "hunter2 %", "redis://u:hunter2@a,b",
    "redis://u:hunter2@h?color=red", "redis://u:hunter2@h:0", "redis+sentinel://u:hunter2@h",
    "redis+sentinel://u:hunter2@h/", "redis+sentinel://u:hunter2@a,,b/main", "redis+sentinel://u:hunter2@a/main/x",
    "redis+sentinel://:hunter2@/main", "redis+sentinel://u:hunter2@a/main?sentinel_user=bea",
  ])
  func wrongURLIsRefusedWithoutRepeatingIt(url: String) {
    let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: Secret(url)) }
    #expect(error?.code == .configuration)
    #expect(error?.description.contains("hunter2") == false)
    #expect(error?.description.contains("rediss://") == true)
  }
}
