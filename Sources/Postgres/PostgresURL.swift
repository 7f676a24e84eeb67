import Platform

extension PostgresConfiguration {
  private static let defaultPort = 5432

  /// Reads `postgres://user:password@host:port,host:port/database?parameters`, percent-decoded.
  ///
  /// Parameters: `sslmode` (disable, require, verify-full), `sslrootcert` (a file or `system`), `host` (a name or a
  /// socket directory), `port`, `hostaddr`, `connect_timeout` (seconds), `target_session_attrs` (any, read-write,
  /// primary; with several hosts read-write, else any). Anything else is refused with its name; no error quotes the
  /// URL, since it holds a password.
  package init(url: Secret, applicationName: String) throws(PostgresError) {
    var parts: ServerURL
    do throws(ServerURL.Fault) { parts = try ServerURL(url) } catch { throw Self.refused("\(error)") }
    guard ["postgres", "postgresql"].contains(parts.scheme) else {
      throw Self.refused("it does not begin with postgres://")
    }
    guard let user = parts.user else { throw Self.refused("it names no user") }
    let hosts = try Self.hosts(&parts)
    self.init(
      host: hosts[0].host, port: hosts[0].port, database: parts.path.isEmpty ? user : parts.path, user: user,
      password: parts.password)
    alternatives = Array(hosts.dropFirst())
    self.applicationName = applicationName
    hostAddress = parts.take("hostaddr")
    if let address = hostAddress, !Resolver.isNumeric(address) { throw Self.refused("hostaddr is not numeric") }
    if hostAddress != nil, hosts.count > 1 { throw Self.refused("hostaddr is given for several hosts") }
    if let seconds = parts.take("connect_timeout") {
      guard let count = Int(seconds), count > 0 else {
        throw Self.refused("connect_timeout is not a number of seconds")
      }
      connectTimeout = .seconds(count)
    }
    let caFile = parts.take("sslrootcert")
    tls = try Self.tls(mode: parts.take("sslmode"), caFile: caFile, hosts: hosts.map(\.host))
    sessionTarget = try Self.target(parts.take("target_session_attrs"), hosts: hosts.count)
    if let unknown = parts.parameters.keys.min() { throw Self.refused("it has the unknown parameter \(unknown)") }
  }

  /// One or more; the parameters `host` and `port` name a single one.
  private static func hosts(_ parts: inout ServerURL) throws(PostgresError) -> [Alternative] {
    let (name, port) = (parts.take("host"), parts.take("port"))
    var number = parts.hosts.first?.port ?? defaultPort
    if let port { do throws(ServerURL.Fault) { number = try ServerURL.port(port) } catch { throw refused("\(error)") } }
    guard name == nil, let first = parts.hosts.first else {
      return [Alternative(host: name ?? "localhost", port: number)]
    }
    if parts.hosts.count == 1, first.name.isEmpty {
      return [Alternative(host: "localhost", port: first.port ?? number)]
    }
    guard parts.hosts.allSatisfy({ !$0.name.isEmpty }) else { throw refused("one of its hosts is empty") }
    let common = port == nil ? defaultPort : number
    return parts.hosts.map { Alternative(host: $0.name, port: $0.port ?? common) }
  }

  private static func target(_ text: String?, hosts: Int) throws(PostgresError) -> SessionTarget {
    guard let text else { return hosts > 1 ? .readWrite : .any }
    guard let target = SessionTarget(rawValue: text) else {
      let known = SessionTarget.allCases.map(\.rawValue).joined(separator: ", ")
      throw refused("target_session_attrs must be one of \(known)")
    }
    return target
  }

  private static func tls(mode: String?, caFile: String?, hosts: [String]) throws(PostgresError) -> TLS {
    let file = caFile == "system" ? nil : caFile
    switch mode {
    case nil where caFile == nil:
      return hosts.allSatisfy { defaultTLS(for: $0) == .disable } ? .disable : .verifyFull(caFile: nil)
    case nil, "verify-full": return .verifyFull(caFile: file)
    case "disable": return .disable
    case "require": return .require
    default: throw refused("sslmode must be disable, require or verify-full")
    }
  }

  private static func refused(_ reason: String) -> PostgresError {
    PostgresError(
      .configuration,
      "the database URL cannot be used: \(reason); write postgres://user:password@host:port/database?sslmode=…")
  }
}
