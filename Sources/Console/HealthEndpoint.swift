import Foundation
import Hummingbird
import Logging
import Platform
import ServiceLifecycle

/// Answers `/livez` and `/readyz`: 200 when fine, else 503, with the reasons as one line of JSON.
///
/// Not alive means: restart this process. Not ready means: it waits for something (the metadata database, Redis), and
/// goes on by itself; restarting would not help.
package struct HealthEndpoint: Service {
  /// How long a verdict may take before it counts as a bad one.
  package static let verdictLimit: Duration = .seconds(5)

  private let address: ListenAddress
  private let liveness: @Sendable () async -> HealthVerdict
  private let readiness: @Sendable () async -> HealthVerdict
  private let onListening: @Sendable (Int) async -> Void
  private let logger: Logger

  /// - Parameter onListening: told the real port once requests are answered; the address may ask for any free one.
  package init(
    address: ListenAddress, logger: Logger,
    liveness: @escaping @Sendable () async -> HealthVerdict = { .fine },
    readiness: @escaping @Sendable () async -> HealthVerdict,
    onListening: @escaping @Sendable (Int) async -> Void = { _ in }
  ) {
    self.address = address
    self.logger = logger
    self.liveness = liveness
    self.readiness = readiness
    self.onListening = onListening
  }

  /// Serves until the surrounding service group shuts down or the task is cancelled.
  ///
  /// - Throws: `ListenError` if the address cannot be listened on.
  package func run() async throws {
    let router = Router()
    router.get("/livez") { _, _ in try await Self.answer(to: liveness) }
    router.get("/readyz") { _, _ in try await Self.answer(to: readiness) }
    var quiet = logger
    quiet.logLevel = max(logger.logLevel, .warning)
    let (address, logger, onListening) = (address, logger, onListening)
    let application = Application(
      router: router,
      configuration: .init(address: .hostname(address.host, port: address.port), serverName: "sluice"),
      onServerRunning: { channel in
        let port = channel.localAddress?.port ?? address.port
        logger.info("health is answered", metadata: ["address": "\(ListenAddress(host: address.host, port: port))"])
        await onListening(port)
      }, logger: quiet)
    do { try await application.run() } catch is CancellationError { throw CancellationError() } catch {
      throw ListenError(address: address, error)
    }
  }

  private static func answer(to check: @escaping @Sendable () async -> HealthVerdict) async throws -> Response {
    let verdict = await bounded(check)
    let body = HealthBody(status: verdict.isFine ? "ok" : "unavailable", reasons: verdict.reasons)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Response(
      status: verdict.isFine ? .ok : .serviceUnavailable,
      headers: [.contentType: "application/json", .cacheControl: "no-store"],
      body: .init(byteBuffer: ByteBuffer(bytes: try encoder.encode(body) + Data("\n".utf8))))
  }

  private static func bounded(_ check: @escaping @Sendable () async -> HealthVerdict) async -> HealthVerdict {
    await withTaskGroup(of: HealthVerdict.self) { group in
      group.addTask { await check() }
      group.addTask {
        // best effort: the sleep ends early only when the verdict is in, and then nobody reads this one
        try? await Task.sleep(for: verdictLimit)
        return HealthVerdict(reasons: ["no verdict within \(Int(verdictLimit.inSeconds)) s"])
      }
      defer { group.cancelAll() }
      return await group.next() ?? HealthVerdict(reasons: ["no verdict"])
    }
  }
}

private struct HealthBody: Encodable {
  let status: String
  let reasons: [String]
}

/// Why nothing is answered at an address.
package struct ListenError: Error, CustomStringConvertible {
  package let description: String

  init(address: ListenAddress, _ error: any Error) {
    // The network library's text names the call that failed; the system's number is in it.
    let text = "\(error)"
    let number = text.firstMatch(of: /errno: (\d+)/).flatMap { Int32($0.1) }
    let reason = number.map { String(cString: strerror($0)) } ?? text
    description = "cannot answer at \(address): \(reason); choose a free port of this machine"
  }
}
