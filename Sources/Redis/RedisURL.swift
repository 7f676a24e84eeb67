import Platform

extension RedisConfiguration {
  private static let redisPort = 6379
  private static let sentinelPort = 26_379

  /// Reads `redis://[[user]:password@]host[:port][/database]`, or, to ask Sentinels for the primary,
  /// `redis+sentinel://[[user]:password@]host[:port],…/name[/database][?sentinel_user=…&sentinel_password=…]`.
  /// With `rediss` in the place of `redis` everybody is talked to in TLS.
  ///
  /// - Throws: `.configuration`; the text never repeats the URL, because it may hold the password.
  package init(url: Secret) throws(RedisError) {
    var parts: ServerURL
    do throws(ServerURL.Fault) { parts = try ServerURL(url) } catch { throw Self.invalid("\(error)") }
    let path = parts.path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    let tls = parts.scheme.hasPrefix("rediss") ? TLS() : nil
    switch parts.scheme {
    case "redis", "rediss":
      guard path.count < 2 else { throw Self.invalid("the path should be a database number, such as /0") }
      self.init(
        .server(try Self.server(parts)), user: parts.user, password: parts.password,
        database: try Self.database(path.first), tls: tls)
    case "redis+sentinel", "rediss+sentinel":
      let sentinels = try Self.sentinels(&parts, name: path.first ?? "")
      guard path.count < 3 else {
        throw Self.invalid("the path should be a name and a database number, such as /main/0")
      }
      self.init(
        .watched(sentinels), user: parts.user, password: parts.password,
        database: try Self.database(path.count == 2 ? path[1] : nil), tls: tls)
    default: throw Self.invalid("the scheme \"\(parts.scheme)\" is not known")
    }
    if let unknown = parts.parameters.keys.min() { throw Self.invalid("it has the unknown parameter \(unknown)") }
  }

  private static func server(_ parts: ServerURL) throws(RedisError) -> RedisEndpoint {
    guard parts.hosts.count <= 1 else {
      throw invalid("it names several hosts; for the addresses of Sentinels the scheme is redis+sentinel")
    }
    guard let host = parts.hosts.first, !host.name.isEmpty else { throw invalid("the URL names no host") }
    return RedisEndpoint(host: host.name, port: host.port ?? redisPort)
  }

  private static func sentinels(_ parts: inout ServerURL, name: String) throws(RedisError) -> RedisSentinels {
    guard !parts.hosts.isEmpty, parts.hosts.allSatisfy({ !$0.name.isEmpty }) else {
      throw invalid("the URL names no host, or an empty one")
    }
    guard !name.isEmpty else { throw invalid("the path should name the primary that the Sentinels watch") }
    let (user, password) = (parts.take("sentinel_user"), parts.take("sentinel_password"))
    guard user == nil || password != nil else { throw invalid("it has a sentinel_user without a sentinel_password") }
    return RedisSentinels(
      endpoints: parts.hosts.map { RedisEndpoint(host: $0.name, port: $0.port ?? sentinelPort) }, primary: name,
      user: user, password: password.map { Secret($0) })
  }

  private static func database(_ text: String?) throws(RedisError) -> Int {
    guard let text, !text.isEmpty else { return 0 }
    guard let number = Int(text), number >= 0 else { throw invalid("the database should be a number, such as /0") }
    return number
  }

  private static func invalid(_ detail: String) -> RedisError {
    RedisError(
      .configuration,
      "\(detail); write redis://user:password@host:port/database, redis+sentinel://user:password@host:port,…/name for "
        + "Sentinels, and rediss:// or rediss+sentinel:// for TLS")
  }
}
