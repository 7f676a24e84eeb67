import Foundation
import Platform
import Synchronization

/// Where a database is and how to talk to it.
package struct PostgresConfiguration: Sendable {
  package enum TLS: Sendable, Equatable {
    case disable
    /// Encrypts, and does not ask who the server is.
    case require
    /// Encrypts, and checks the server's certificate and host name; without a file, against the system's roots.
    case verifyFull(caFile: String?)
  }

  /// What a session must be able to do; servers that cannot are passed over. libpq's `target_session_attrs`.
  package enum SessionTarget: String, Sendable, CaseIterable {
    case any
    /// Takes writes: no standby, and no primary that was made read-only.
    case readWrite = "read-write"
    case primary
  }

  /// Another server with the same database.
  package struct Alternative: Sendable, Hashable {
    package let host: String
    package let port: Int

    package init(host: String, port: Int) {
      self.host = host
      self.port = port
    }
  }

  /// A host name, a numeric address, or the directory of a Unix socket (starts with `/`).
  package var host: String
  package var port: Int
  /// Servers of which one may have taken the place of `host`: its standbys. They are tried in this order, but the one
  /// that served last comes first.
  package var alternatives: [Alternative] = []
  package var sessionTarget = SessionTarget.any
  package var database: String
  package var user: String
  package var password: Secret?
  /// A numeric address that is used instead of resolving `host`, which still names the server to TLS.
  package var hostAddress: String?
  package var tls: TLS
  package var applicationName = "sluice"
  /// The most that connecting takes, resolving included; 10 s.
  package var connectTimeout: Duration = .seconds(10)
  /// The most a call takes that names no deadline; 30 s.
  package var statementTimeout: Duration = .seconds(30)
  /// How long the server may take to confirm a cancelled statement before the connection is closed; 1 s.
  package var cancelGrace: Duration = .seconds(1)
  /// Server settings that hold from the start of the session, such as `lock_timeout`.
  package var settings: [String: String] = [:]

  /// - Parameter tls: without it, `verifyFull` against the system's roots, or `disable` for loopback and sockets.
  package init(
    host: String, port: Int = 5432, database: String, user: String, password: Secret? = nil, tls: TLS? = nil
  ) {
    self.host = host
    self.port = port
    self.database = database
    self.user = user
    self.password = password
    self.tls = tls ?? Self.defaultTLS(for: host)
  }

  /// The same with another database of the instance.
  package func with(database: String) -> PostgresConfiguration {
    var copy = self
    copy.database = database
    return copy
  }

  /// The same with other credentials.
  package func with(user: String, password: Secret?) -> PostgresConfiguration {
    var copy = self
    copy.user = user
    copy.password = password
    return copy
  }

  /// `host:port/database`, for errors and logs; with alternatives `host:port,host:port/database`.
  package var endpoint: String {
    let places = [Alternative(host: host, port: port)] + alternatives
    return places.map { "\($0.host):\($0.port)" }.joined(separator: ",") + "/\(database)"
  }

  /// The server that served last, as an index among all; copies of this configuration share it.
  private let lastGood = LastGood()

  /// One configuration for each server, in the order in which to try them.
  var servers: [(configuration: PostgresConfiguration, noteServing: @Sendable () -> Void)] {
    let places = [Alternative(host: host, port: port)] + alternatives
    let first = min(lastGood.index, places.count - 1)
    let order = [first] + places.indices.filter { $0 != first }
    return order.map { index in
      var copy = self
      (copy.host, copy.port, copy.alternatives) = (places[index].host, places[index].port, [])
      // A numeric address is given for one server only.
      if index > 0 { copy.hostAddress = nil }
      return (copy, { [lastGood] in lastGood.index = index })
    }
  }

  var isSocketDirectory: Bool { host.hasPrefix("/") }

  static func defaultTLS(for host: String) -> TLS {
    let isLoopback = host == "localhost" || host == "::1" || (host.hasPrefix("127.") && Resolver.isNumeric(host))
    return host.hasPrefix("/") || isLoopback ? .disable : .verifyFull(caFile: nil)
  }
}

/// Remembers an index.
private final class LastGood: Sendable {
  private let value = Mutex(0)

  var index: Int {
    get { value.withLock { $0 } }
    set { value.withLock { $0 = newValue } }
  }
}

// What libpq is told. Source: PostgreSQL 15 documentation, 34.1.2.
extension PostgresConfiguration {
  /// Where Debian and Red Hat keep the system's roots; libpq knows `system` only from version 16 on.
  private static let systemRoots = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"]

  /// A dead peer is noticed after 10 s of silence and three probes, or when sent data stays unanswered for 20 s.
  private static let keepAlive = [
    "keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3",
    "tcp_user_timeout": "20000",
  ]

  func connectionParameters(address: String?) -> [String: String] {
    var parameters = Self.keepAlive
    parameters["host"] = host
    parameters["port"] = String(port)
    parameters["dbname"] = database
    parameters["user"] = user
    parameters["application_name"] = applicationName
    parameters["client_encoding"] = "UTF8"
    // The Lakebase gateway answers a GSS request with 08P01.
    parameters["gssencmode"] = "disable"
    parameters["hostaddr"] = address
    parameters["password"] = password?.reveal()
    parameters["options"] = startOptions
    parameters["target_session_attrs"] = sessionTarget.rawValue
    switch tls {
    case .disable: parameters["sslmode"] = "disable"
    case .require: parameters["sslmode"] = "require"
    case .verifyFull(let caFile):
      parameters["sslmode"] = "verify-full"
      parameters["sslrootcert"] = caFile ?? Self.systemRootsFile
    }
    return parameters
  }

  private static var systemRootsFile: String {
    systemRoots.first { FileManager.default.fileExists(atPath: $0) } ?? systemRoots[0]
  }

  /// The settings as `-c name=value`. Dates and times come in one form only, whatever the database is set to; and no
  /// statement is compiled, which took a second for one that runs for ten milliseconds (PostgreSQL 15 with LLVM, measured).
  private var startOptions: String {
    let fixed = ["DateStyle": "ISO", "TimeZone": "UTC", "jit": "off"]
    return fixed.merging(settings) { $1 }.sorted { $0.key < $1.key }.map { name, value in
      let escaped = value.replacing("\\", with: "\\\\").replacing(" ", with: "\\ ")
      return "-c \(name)=\(escaped)"
    }.joined(separator: " ")
  }
}
