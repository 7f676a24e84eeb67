import Foundation
import Logging
import Platform
import Redis
import RedisTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct SecurityTests {
  @Test func passwordLogsIn() async throws {
    try await PrivateRedis.run(["--requirepass", "hunter2"]) { redis async throws in
      var configuration = redis.configuration
      configuration.password = Secret("hunter2")
      #expect(try await client(configuration).send(["PING"]) == .status("PONG"))
    }
  }

  @Test func wrongPasswordIsRefusedWithoutRepeatingIt() async throws {
    try await PrivateRedis.run(["--requirepass", "right"]) { redis async throws in
      var configuration = redis.configuration
      configuration.password = Secret("hunter2")
      let error = await #expect(throws: RedisError.self) { try await client(configuration).send(["PING"]) }
      #expect(error?.code == .server(prefix: "WRONGPASS"))
      #expect(error?.description.contains("hunter2") == false)
    }
  }

  @Test func tlsWithOurOwnAuthority() async throws {
    try await withTLSRedis { redis, certificates async throws in
      var configuration = redis.configuration
      configuration.tls = .init(caFile: certificates + "/ca.pem")
      #expect(try await client(configuration).send(["PING"]) == .status("PONG"))
    }
  }

  @Test func certificateOfAnUnknownAuthorityIsRefused() async throws {
    try await withTLSRedis { redis, _ async throws in
      var configuration = redis.configuration
      configuration.tls = .init()
      let error = await #expect(throws: RedisError.self) { try await client(configuration).send(["PING"]) }
      #expect(error?.code == .unavailable)
    }
  }

  @Test func certificateForAnotherAddressIsRefused() async throws {
    try await withTLSRedis(address: "192.0.2.1") { redis, certificates async throws in
      var configuration = redis.configuration
      configuration.tls = .init(caFile: certificates + "/ca.pem")
      let error = await #expect(throws: RedisError.self) { try await client(configuration).send(["PING"]) }
      #expect(error?.code == .unavailable)
    }
  }

  private func client(_ configuration: RedisConfiguration) -> RedisClient {
    RedisClient(configuration: configuration, logger: Logger(label: "test"))
  }

  /// A server that speaks TLS only, with a certificate for `address` of an authority of its own.
  private func withTLSRedis(
    address: String = "127.0.0.1", _ body: (PrivateRedis, String) async throws -> Void
  ) async throws {
    let directory = "/tmp/sluice-tls-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }  // best effort: /tmp
    let subject = "-days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    let script = """
      cd \(directory) &&
      openssl req -x509 \(subject) -subj /CN=authority -keyout ca.key -out ca.pem &&
      openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=redis -keyout r.key -out r.csr &&
      echo subjectAltName=IP:\(address) > r.ext &&
      openssl x509 -req -in r.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile r.ext -out r.pem
      """
    let shell = Process()
    shell.executableURL = URL(fileURLWithPath: "/bin/sh")
    shell.arguments = ["-c", script]
    shell.standardError = FileHandle.nullDevice
    try shell.run()
    shell.waitUntilExit()
    try #require(shell.terminationStatus == 0, "openssl could not make the certificates")
    let files = ["--tls-cert-file", directory + "/r.pem", "--tls-key-file", directory + "/r.key"]
    let tls = [
      "--port", "0", "--tls-port", "%PORT%", "--tls-auth-clients", "no", "--tls-ca-cert-file", directory + "/ca.pem",
    ]
    try await PrivateRedis.run(tls + files) { try await body($0, directory) }
  }
}
