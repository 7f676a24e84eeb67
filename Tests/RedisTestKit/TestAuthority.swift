import Foundation
import Redis

/// A certificate authority of a test's own, in a directory of its own, with a certificate for a server and a client.
package struct TestAuthority: Sendable {
  package let directory: String

  package static func run(_ body: (TestAuthority) async throws -> Void) async throws {
    let directory = "/tmp/sluice-tls-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }  // best effort: /tmp
    let authority = TestAuthority(directory: directory)
    try shell("openssl req -x509 \(newKey) -days 2 -subj /CN=authority -keyout ca.key -out ca.pem", in: directory)
    _ = try authority.issue("server")
    _ = try authority.issue("client")
    try await body(authority)
  }

  package var caFile: String { "\(directory)/ca.pem" }
  package var client: RedisIdentity { identity("client") }
  package var tls: RedisConfiguration.TLS { RedisConfiguration.TLS(caFile: caFile, identity: client) }

  /// Makes a certificate for an address; negative `days` make one that is expired.
  package func issue(_ name: String, address: String = "127.0.0.1", days: Int = 2) throws -> RedisIdentity {
    try Self.shell(
      """
      openssl req -new \(Self.newKey) -subj /CN=\(name) -keyout \(name).key -out \(name).csr &&
      echo subjectAltName=IP:\(address) > \(name).ext &&
      openssl x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial -days \(days) -extfile \(name).ext \
        -out \(name).pem
      """, in: directory)
    return identity(name)
  }

  /// What redis.conf says for a server that speaks TLS only, and asks clients for a certificate.
  package func directives(server: String = "server", asksClients: Bool = true) -> [[String]] {
    let files = identity(server)
    return [
      ["port", "0"], ["tls-port", "%PORT%"], ["tls-cert-file", files.certificateFile], ["tls-key-file", files.keyFile],
      ["tls-ca-cert-file", caFile], ["tls-auth-clients", asksClients ? "yes" : "no"], ["tls-replication", "yes"],
    ]
  }

  /// The same as arguments of redis-server.
  package func arguments(server: String = "server", asksClients: Bool = true) -> [String] {
    directives(server: server, asksClients: asksClients).flatMap { ["--" + $0[0]] + $0.dropFirst() }
  }

  private func identity(_ name: String) -> RedisIdentity {
    RedisIdentity(certificateFile: "\(directory)/\(name).pem", keyFile: "\(directory)/\(name).key")
  }

  private static let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

  private static func shell(_ script: String, in directory: String) throws {
    let shell = Process()
    shell.executableURL = URL(fileURLWithPath: "/bin/sh")
    shell.arguments = ["-c", "cd \(directory) && \(script)"]
    shell.standardError = FileHandle.nullDevice
    try shell.run()
    shell.waitUntilExit()
    guard shell.terminationStatus == 0 else {
      throw RedisError(.configuration, "openssl could not make a certificate: \(script)")
    }
  }
}
