import Foundation
import Logging
import Testing

@testable import Console

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

@Suite struct HealthEndpointTests {
  @Test func fineAnswers200() async throws {
    let answer = try await Self.ask("/livez", readiness: .fine)
    #expect(answer.status == 200)
    #expect(answer.body == "{\"reasons\":[],\"status\":\"ok\"}\n")
  }

  @Test func notReadyAnswers503WithTheReasons() async throws {
    let answer = try await Self.ask("/readyz", readiness: HealthVerdict(reasons: ["Redis is unreachable"]))
    #expect(answer.status == 503)
    #expect(answer.body == "{\"reasons\":[\"Redis is unreachable\"],\"status\":\"unavailable\"}\n")
  }

  @Test func waitingForOthersIsNoReasonToBeRestarted() async throws {
    #expect(try await Self.ask("/livez", readiness: HealthVerdict(reasons: ["x"])).status == 200)
  }

  private static func ask(_ path: String, readiness: HealthVerdict) async throws -> (status: Int, body: String) {
    let (ports, announce) = AsyncStream.makeStream(of: Int.self)
    let endpoint = HealthEndpoint(
      address: ListenAddress(host: "127.0.0.1", port: 0), logger: Logger(label: "test"),
      readiness: { readiness }, onListening: { announce.yield($0) })
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await endpoint.run() }
      defer { group.cancelAll() }
      for await port in ports {
        let url = try #require(URL(string: "http://127.0.0.1:\(port)\(path)"))
        let (data, response) = try await URLSession.shared.data(from: url)
        return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
      }
      return (0, "")
    }
  }
}
