import Foundation
import Logging
import Platform
import Redis
import RedisTestKit
import Testing

/// TLS against servers with certificates of an authority of our own, which mostly ask for ours as well.
@Suite(.timeLimit(.minutes(2)))
struct EncryptionTests {
  @Test func serverThatAsksForNoCertificateNeedsTheAuthorityOnly() async throws {
    try await TestAuthority.run { authority async throws in
      let tls = RedisConfiguration.TLS(caFile: authority.caFile)
      try await expectAnswer(tls, from: authority.arguments(asksClients: false))
    }
  }

  @Test func certificateAndKeyAreShownToAServerThatAsks() async throws {
    try await TestAuthority.run { authority async throws in
      try await expectAnswer(authority.tls, from: authority.arguments())
    }
  }

  @Test func missingCertificateIsToldOf() async throws {
    try await TestAuthority.run { authority async throws in
      let tls = RedisConfiguration.TLS(caFile: authority.caFile)
      try await expectFailure(tls, from: authority.arguments(), saying: "asks for a client certificate")
    }
  }

  @Test func certificateOfAnotherAuthorityIsRefused() async throws {
    try await TestAuthority.run { authority async throws in
      try await TestAuthority.run { stranger async throws in
        let tls = RedisConfiguration.TLS(caFile: authority.caFile, identity: stranger.client)
        try await expectFailure(tls, from: authority.arguments(), saying: "does not trust the authority")
      }
    }
  }

  @Test func expiredCertificateOfOursIsRefused() async throws {
    try await TestAuthority.run { authority async throws in
      let old = try authority.issue("old", days: -1)
      let tls = RedisConfiguration.TLS(caFile: authority.caFile, identity: old)
      try await expectFailure(tls, from: authority.arguments(), saying: "it is expired")
    }
  }

  @Test func serverOfAnotherAuthorityIsRefused() async throws {
    try await TestAuthority.run { authority async throws in
      try await TestAuthority.run { stranger async throws in
        let tls = RedisConfiguration.TLS(caFile: stranger.caFile, identity: authority.client)
        try await expectFailure(tls, from: authority.arguments(), saying: "not of an authority that is trusted")
        let system = RedisConfiguration.TLS(identity: authority.client)
        try await expectFailure(system, from: authority.arguments(), saying: "not of an authority that is trusted")
      }
    }
  }

  @Test func serverWithACertificateForAnotherAddressIsRefused() async throws {
    try await TestAuthority.run { authority async throws in
      _ = try authority.issue("elsewhere", address: "192.0.2.1")
      try await expectFailure(
        authority.tls, from: authority.arguments(server: "elsewhere"), saying: "another host name or address")
    }
  }

  @Test func serverWithAnExpiredCertificateIsRefused() async throws {
    try await TestAuthority.run { authority async throws in
      _ = try authority.issue("expired", days: -1)
      try await expectFailure(authority.tls, from: authority.arguments(server: "expired"), saying: "is expired")
    }
  }

  @Test func renewedCertificateIsUsedByTheNextConnection() async throws {
    try await TestAuthority.run { authority async throws in
      try await PrivateRedis.run(authority.arguments()) { redis async throws in
        let client = client(redis, authority.tls)
        #expect(try await client.send(["PING"]) == .status("PONG"))
        _ = try authority.issue("client", days: -1)
        client.reconnect()
        await #expect(throws: RedisError.self) { try await client.send(["PING"]) }
        _ = try authority.issue("client")
        #expect(try await client.send(["PING"]) == .status("PONG"))
      }
    }
  }

  @Test func connectionGivenUpInTLSIsNotUsedAgain() async throws {
    try await TestAuthority.run { authority async throws in
      try await PrivateRedis.run(authority.arguments()) { redis async throws in
        let client = client(redis, authority.tls)
        _ = try await client.send(["PING"])
        redis.freeze()
        let error = await #expect(throws: RedisError.self) {
          try await client.send(["PING"], deadline: .after(.milliseconds(100)))
        }
        redis.thaw()
        #expect(error?.code == .timedOut)
        #expect(try await client.send(["PING"]) == .status("PONG"))
      }
    }
  }

  private func client(_ redis: PrivateRedis, _ tls: RedisConfiguration.TLS) -> RedisClient {
    var configuration = redis.configuration
    configuration.tls = tls
    return RedisClient(configuration: configuration, logger: Logger(label: "test"))
  }

  private func expectAnswer(_ tls: RedisConfiguration.TLS, from arguments: [String]) async throws {
    try await PrivateRedis.run(arguments) { redis async throws in
      #expect(try await client(redis, tls).send(["PING"]) == .status("PONG"))
    }
  }

  private func expectFailure(
    _ tls: RedisConfiguration.TLS, from arguments: [String], saying text: String
  ) async throws {
    try await PrivateRedis.run(arguments) { redis async throws in
      let error = await #expect(throws: RedisError.self) { try await client(redis, tls).send(["PING"]) }
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains(text) == true, "\(error?.message ?? "")")
    }
  }
}

/// The files by themselves, before anything is connected to.
@Suite struct IdentityTests {
  @Test func filesThatBelongTogetherAreFine() async throws {
    try await TestAuthority.run { #expect($0.client.problems() == []) }
  }

  @Test func expiredCertificateIsToldWithItsTime() async throws {
    try await TestAuthority.run { authority async throws in
      #expect(try authority.issue("old", days: -1).problems().contains { $0.contains("expired at 20") })
      let early = authority.client.problems(now: Date(timeIntervalSince1970: 0))
      #expect(early.contains { $0.contains("not valid before") })
    }
  }

  @Test func keyOfAnotherCertificateIsToldOf() async throws {
    try await TestAuthority.run { authority async throws in
      let other = try authority.issue("other")
      let mixed = RedisIdentity(certificateFile: authority.client.certificateFile, keyFile: other.keyFile)
      #expect(mixed.problems().contains { $0.contains("is not the key of the certificate") })
    }
  }

  @Test func filesThatHoldSomethingElseAreBothTold() async throws {
    try await TestAuthority.run { authority async throws in
      let swapped = RedisIdentity(
        certificateFile: authority.client.keyFile, keyFile: authority.client.certificateFile)
      #expect(swapped.problems().count == 2)
    }
  }
}
