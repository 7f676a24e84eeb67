import Foundation
import Platform

extension PostgresConfiguration {
  /// Reads `postgres://user:password@host:port/database?parameters`, percent-decoded.
  ///
  /// Parameters: `sslmode` (disable, require, verify-full), `sslrootcert` (a file or `system`), `host` (a name or a
  /// socket directory), `hostaddr`, `connect_timeout` (seconds). Anything else is refused with its name; no error
  /// quotes the URL, since it holds a password.
  package init(url: Secret, applicationName: String) throws(PostgresError) {
    var parts = try URLParts(url.reveal())
    let host = parts.take("host") ?? (parts.host.isEmpty ? "localhost" : parts.host)
    guard !parts.user.isEmpty else { throw Self.refused("it names no user") }
    self.init(
      host: host, port: parts.port, database: parts.database.isEmpty ? parts.user : parts.database, user: parts.user,
      password: parts.password.map { Secret($0) })
    self.applicationName = applicationName
    if let text = parts.take("port") {
      guard let number = Int(text), (1...65535).contains(number) else { throw Self.refused("its port is not a port") }
      port = number
    }
    hostAddress = parts.take("hostaddr")
    if let address = hostAddress, !Resolver.isNumeric(address) { throw Self.refused("hostaddr is not numeric") }
    if let seconds = parts.take("connect_timeout") {
      guard let count = Int(seconds), count > 0 else {
        throw Self.refused("connect_timeout is not a number of seconds")
      }
      connectTimeout = .seconds(count)
    }
    let caFile = parts.take("sslrootcert")
    tls = try Self.tls(mode: parts.take("sslmode"), caFile: caFile, host: host)
    if let unknown = parts.parameters.keys.min() { throw Self.refused("it has the unknown parameter \(unknown)") }
  }

  private static func tls(mode: String?, caFile: String?, host: String) throws(PostgresError) -> TLS {
    let file = caFile == "system" ? nil : caFile
    switch mode {
    case nil: return caFile == nil ? defaultTLS(for: host) : .verifyFull(caFile: file)
    case "disable": return .disable
    case "require": return .require
    case "verify-full": return .verifyFull(caFile: file)
    default: throw refused("sslmode must be disable, require or verify-full")
    }
  }

  fileprivate static func refused(_ reason: String) -> PostgresError {
    PostgresError(
      .configuration,
      "the database URL cannot be used: \(reason); write postgres://user:password@host:port/database?sslmode=…")
  }
}

/// The parts of a database URL, decoded.
private struct URLParts {
  var user = ""
  var password: String?
  var host = ""
  var port = 5432
  var database = ""
  var parameters: [String: String] = [:]

  init(_ url: String) throws(PostgresError) {
    guard let scheme = ["postgres://", "postgresql://"].first(where: { url.hasPrefix($0) }) else {
      throw PostgresConfiguration.refused("it does not begin with postgres://")
    }
    let rest = url.dropFirst(scheme.count)
    let authority = rest.prefix { $0 != "/" && $0 != "?" }
    let tail = rest[authority.endIndex...]
    let path = tail.prefix { $0 != "?" }
    database = try Self.decoded(path.dropFirst(), "database")
    try readAuthority(authority)
    try readParameters(tail[path.endIndex...].dropFirst())
  }

  mutating func take(_ name: String) -> String? { parameters.removeValue(forKey: name) }

  private mutating func readAuthority(_ authority: Substring) throws(PostgresError) {
    var location = authority
    if let at = authority.lastIndex(of: "@") {
      let credentials = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      user = try Self.decoded(credentials[0], "user")
      if credentials.count == 2 { password = try Self.decoded(credentials[1], "password") }
      location = authority[authority.index(after: at)...]
    }
    var portText: Substring = ""
    if location.hasPrefix("["), let end = location.firstIndex(of: "]") {
      host = String(location[location.index(after: location.startIndex)..<end])
      portText = location[location.index(after: end)...].drop { $0 == ":" }
    } else {
      let pieces = location.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      host = try Self.decoded(pieces.first ?? "", "host")
      portText = pieces.count == 2 ? pieces[1] : ""
    }
    guard !portText.isEmpty else { return }
    guard let number = Int(portText), (1...65535).contains(number) else {
      throw PostgresConfiguration.refused("its port is not a number from 1 to 65535")
    }
    port = number
  }

  private mutating func readParameters(_ query: Substring) throws(PostgresError) {
    for pair in query.split(separator: "&") {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = try Self.decoded(sides[0], "parameter")
      parameters[name] = try Self.decoded(sides.count == 2 ? sides[1] : "", name)
    }
  }

  private static func decoded(_ text: Substring, _ part: String) throws(PostgresError) -> String {
    guard let plain = String(text).removingPercentEncoding else {
      throw PostgresConfiguration.refused("its \(part) has a broken percent escape")
    }
    return plain
  }
}
