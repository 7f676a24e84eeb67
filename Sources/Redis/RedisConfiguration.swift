import FoundationEssentials
import Platform

/// Where Redis is and how long we wait for it.
package struct RedisConfiguration: Sendable {
  package struct TLS: Sendable {
    /// False accepts any certificate; only for tests on a private network.
    package var verifies = true
    /// A PEM file of the authorities to trust; the system's if none is given.
    package var caFile: String?

    package init(verifies: Bool = true, caFile: String? = nil) {
      self.verifies = verifies
      self.caFile = caFile
    }
  }

  package struct Limits: Sendable {
    /// Commands that were sent and not yet answered, a connection; one more is refused at once.
    package var commandsInFlight = 10_000
    /// Bytes of one encoded command.
    package var commandBytes = 16 << 20
    /// Bytes of one reply; a longer one closes the connection. hiredis itself refuses replies nested 9 deep.
    package var replyBytes = 64 << 20

    package init() {}
  }

  package var host: String
  package var port: Int
  package var user: String?
  package var password: Secret?
  package var database: Int
  package var tls: TLS?
  /// For resolving, connecting, the TLS handshake and the login together.
  package var connectTimeout: Duration = .seconds(5)
  /// For a command that names no deadline.
  package var commandTimeout: Duration = .seconds(5)
  package var limits = Limits()
  /// Pauses between attempts to connect, while they fail.
  package var reconnectBackoff = Backoff(base: .milliseconds(50), cap: .seconds(2))

  package init(
    host: String, port: Int = 6379, user: String? = nil, password: Secret? = nil, database: Int = 0, tls: TLS? = nil
  ) {
    self.host = host
    self.port = port
    self.user = user
    self.password = password
    self.database = database
    self.tls = tls
  }

  /// Host and port as they appear in errors and logs.
  package var endpoint: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension RedisConfiguration {
  /// Reads `redis://[[user]:password@]host[:port][/database]`, or `rediss://` for TLS.
  ///
  /// - Throws: `.configuration`; the text never repeats the URL, because it may hold the password.
  package init(url: Secret, caFile: String? = nil) throws(RedisError) {
    guard let parts = URLComponents(string: url.reveal()), let scheme = parts.scheme?.lowercased() else {
      throw Self.invalid("the URL cannot be read")
    }
    guard scheme == "redis" || scheme == "rediss" else { throw Self.invalid("the scheme \"\(scheme)\" is not known") }
    guard let host = parts.host, !host.isEmpty else { throw Self.invalid("the URL names no host") }
    guard caFile == nil || scheme == "rediss" else {
      throw Self.invalid("a CA file is given, but the scheme redis does not use TLS; use rediss")
    }
    if let port = parts.port, !(1...65535).contains(port) {
      throw Self.invalid("the port is not a number from 1 to 65535")
    }
    self.init(
      host: host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host, port: parts.port ?? 6379,
      user: parts.user.flatMap { $0.isEmpty ? nil : $0 },
      password: parts.password.flatMap { $0.isEmpty ? nil : Secret($0) },
      database: try Self.database(path: parts.path),
      tls: scheme == "rediss" ? TLS(caFile: caFile) : nil)
  }

  private static func database(path: String) throws(RedisError) -> Int {
    let name = path.drop { $0 == "/" }
    if name.isEmpty { return 0 }
    guard let number = Int(name), number >= 0 else { throw invalid("the path should be a database number, such as /0") }
    return number
  }

  private static func invalid(_ detail: String) -> RedisError {
    RedisError(
      .configuration,
      "\(detail); write redis://user:password@host:port/database, or rediss:// for TLS "
        + "(for Sentinel or Cluster give the address of the primary)")
  }
}
