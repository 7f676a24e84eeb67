import Platform

/// Where a Redis or Sentinel server listens.
package struct RedisEndpoint: Sendable, Hashable, CustomStringConvertible {
  package let host: String
  package let port: Int

  package init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// The Sentinels that know which server is the primary.
package struct RedisSentinels: Sendable, Hashable {
  package var endpoints: [RedisEndpoint]
  /// The name under which they watch it.
  package var primary: String
  package var user: String?
  /// Without it they are asked as nobody, and with Redis' own user and password if they want to know.
  package var password: Secret?
  /// The most that one of them may take to answer, connecting included.
  package var answerTimeout: Duration = .seconds(1)

  package init(endpoints: [RedisEndpoint], primary: String, user: String? = nil, password: Secret? = nil) {
    self.endpoints = endpoints
    self.primary = primary
    self.user = user
    self.password = password
  }
}

/// Where Redis is and how long we wait for it.
package struct RedisConfiguration: Sendable {
  package enum Place: Sendable, Hashable {
    case server(RedisEndpoint)
    /// Whichever server is the primary at the time of connecting.
    case watched(RedisSentinels)
  }

  package struct TLS: Sendable {
    /// False accepts any certificate; only for tests on a private network.
    package var verifies = true
    /// A PEM file of the authorities to trust; the system's if none is given.
    package var caFile: String?
    /// What we show to a server that asks who we are.
    package var identity: RedisIdentity?

    package init(verifies: Bool = true, caFile: String? = nil, identity: RedisIdentity? = nil) {
      self.verifies = verifies
      self.caFile = caFile
      self.identity = identity
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

  package var place: Place
  package var user: String?
  package var password: Secret?
  package var database: Int
  /// For Redis and its Sentinels alike; nil speaks plain text.
  package var tls: TLS?
  /// For finding the server, connecting, the TLS handshake and the login together.
  package var connectTimeout: Duration = .seconds(5)
  /// For a command that names no deadline.
  package var commandTimeout: Duration = .seconds(5)
  package var limits = Limits()
  /// Pauses between attempts to connect, while they fail.
  package var reconnectBackoff = Backoff(base: .milliseconds(50), cap: .seconds(2))

  package init(
    _ place: Place, user: String? = nil, password: Secret? = nil, database: Int = 0, tls: TLS? = nil
  ) {
    self.place = place
    self.user = user
    self.password = password
    self.database = database
    self.tls = tls
  }

  package init(host: String, port: Int = 6379) { self.init(.server(RedisEndpoint(host: host, port: port))) }

  /// What we talk to, as it appears in errors and logs.
  package var endpoint: String {
    switch place {
    case .server(let endpoint): "\(endpoint)"
    case .watched(let sentinels): "primary \(sentinels.primary)"
    }
  }
}
