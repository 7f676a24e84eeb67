import Foundation
import Platform
import Testing

@testable import Postgres

extension ServerTests {
  @Suite struct Connecting {
    @Test func silentListenerTimesOut() async throws {
      let listener = try SilentListener()
      let configuration = PostgresConfiguration(
        host: "127.0.0.1", port: listener.port, database: "a", user: "b", tls: .disable)
      let started = ContinuousClock.now
      let error = await failure {
        _ = try await PostgresConnection.connect(configuration, deadline: .after(.milliseconds(200)))
      }
      #expect(error?.code == .timedOut)
      #expect(ContinuousClock.now - started < .seconds(5))
    }

    @Test func closedPortIsRefused() async throws {
      let port = try SilentListener().port
      let configuration = PostgresConfiguration(host: "127.0.0.1", port: port, database: "a", user: "b")
      let error = await failure { _ = try await PostgresConnection.connect(configuration) }
      #expect(error?.code == .connect)
      #expect(error?.isTransient == true)
    }

    @Test func secondAddressIsTriedWhenTheFirstRefuses() async throws {
      let server = try PrivateServer.running
      let session = try Session(server.configuration())
      try session.perform(until: .after(.seconds(10))) { () throws(PostgresError) in
        try session.open(addresses: ["127.0.0.2", "127.0.0.1"], until: .after(.seconds(10)))
      }
      #expect(session.isIdle)
    }

    @Test func serverThatIsGoneIsPassedOverAndTheOtherRemembered() async throws {
      let server = try PrivateServer.running
      let listener = try SilentListener()
      var configuration = server.configuration()
      configuration.alternatives = [.init(host: "127.0.0.1", port: configuration.port)]
      configuration.port = listener.port
      configuration.connectTimeout = .seconds(4)
      let connection = try await PostgresConnection.connect(configuration)
      #expect(connection.configuration.port == server.port)
      let again = ContinuousClock.now
      _ = try await PostgresConnection.connect(configuration)
      #expect(ContinuousClock.now - again < .seconds(2))
    }

    @Test func readOnlyServerIsPassedOver() async throws {
      let server = try PrivateServer.running
      var configuration = try await readOnly(server)
      configuration.sessionTarget = .readWrite
      let alone = await failure { _ = try await PostgresConnection.connect(configuration) }
      #expect(alone?.code == .connect && alone?.isTransient == true)
      #expect(alone?.message.contains("read-only") == true, "\(alone?.message ?? "")")
      let port = try SilentListener().port
      configuration.alternatives = [.init(host: "127.0.0.1", port: port)]
      let both = await failure { _ = try await PostgresConnection.connect(configuration) }
      #expect(both?.isTransient == true)
      for part in ["read-only", "Connection refused", ":\(port)/"] { #expect(both?.message.contains(part) == true) }
    }

    @Test func sessionThatTakesNoWritesAnyMoreIsClosed() async throws {
      let configuration = try await readOnly(try PrivateServer.running)
      let connection = try await PostgresConnection.connect(configuration)
      let error = await failure { try await connection.execute("CREATE TABLE written (a int)") }
      #expect(error?.sqlState == .readOnlySQLTransaction && error?.isTransient == true)
      #expect(await !connection.isUsable)
    }

    /// A session of a user whose transactions are all read-only, as all are on a standby.
    private func readOnly(_ server: PrivateServer) async throws -> PostgresConfiguration {
      let name = "reader_\(UInt32.random(in: 0 ... .max))"
      let password = PrivateServer.password
      try await server.connect().execute(
        """
        CREATE ROLE \(name) LOGIN PASSWORD '\(password.reveal())';
        ALTER ROLE \(name) SET default_transaction_read_only = on
        """)
      return server.configuration().with(user: name, password: password)
    }

    @Test func unixSocketNeedsNoName() async throws {
      let server = try PrivateServer.running
      var configuration = server.configuration()
      configuration.host = server.directory
      let connection = try await PostgresConnection.connect(configuration)
      #expect(await connection.serverVersion >= 150_000)
    }

    @Test func wrongPasswordIsAnAuthenticationError() async throws {
      let configuration = try PrivateServer.running.configuration().with(
        user: "postgres", password: Secret("wrong-one"))
      let error = try #require(await failure { _ = try await PostgresConnection.connect(configuration) })
      #expect(error.code == .authentication)
      #expect(error.sqlState == .invalidPassword)
      #expect(!"\(error)".contains("wrong-one"))
    }

    @Test func missingDatabaseIsAServerErrorWithItsState() async throws {
      let configuration = try PrivateServer.running.configuration(database: "nowhere")
      let error = await failure { _ = try await PostgresConnection.connect(configuration) }
      #expect(error?.code == .server)
      #expect(error?.sqlState == .invalidCatalogName)
    }

    @Test func knownAuthorityAndHostNameConnect() async throws {
      let connection = try await PostgresConnection.connect(try tls(host: Certificates.host, authority: "ca"))
      let row = try await connection.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").rows.first
      #expect(try row?.bool("ssl") == true)
    }

    @Test func unknownAuthorityIsATLSError() async throws {
      let configuration = try tls(host: Certificates.host, authority: "stranger")
      #expect(await failure { _ = try await PostgresConnection.connect(configuration) }?.code == .tls)
    }

    @Test func requiredEncryptionDoesNotAskWhoTheServerIs() async throws {
      var configuration = try tls(host: "other.test", authority: "stranger")
      configuration.tls = .require
      let connection = try await PostgresConnection.connect(configuration)
      let row = try await connection.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").rows.first
      #expect(try row?.bool("ssl") == true)
    }

    @Test func systemRootsDoNotKnowThePrivateAuthority() async throws {
      var configuration = try tls(host: Certificates.host, authority: "ca")
      configuration.tls = .verifyFull(caFile: nil)
      #expect(await failure { _ = try await PostgresConnection.connect(configuration) }?.code == .tls)
    }

    @Test func otherHostNameIsATLSError() async throws {
      let configuration = try tls(host: "other.test", authority: "ca")
      let error = await failure { _ = try await PostgresConnection.connect(configuration) }
      #expect(error?.code == .tls)
      #expect(error?.isTransient == false)
    }

    private func tls(host: String, authority: String) throws -> PostgresConfiguration {
      let server = try PrivateServer.running
      var configuration = server.configuration()
      configuration.host = host
      configuration.hostAddress = "127.0.0.1"
      configuration.tls = .verifyFull(caFile: "\(server.directory)/\(authority).crt")
      return configuration
    }
  }
}
