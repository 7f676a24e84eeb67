import Platform
import Synchronization

/// Requests over libcurl: kept connections, verified TLS, every size and time bounded.
///
/// All transfers run on one thread of their own (measured: 1.2 to 3 times less CPU than a pool of threads), so a
/// caller's task only waits. Proxies are taken from the environment (`https_proxy`, `no_proxy`), except for
/// loopback addresses.
package final class HTTPClient: Sendable {
  package struct Configuration: Sendable {
    /// PEM file of certificate authorities to trust beside the system's.
    package var caFile: String?
    package var connectTimeout: Duration = .seconds(10)
    /// From the call to the last byte of the response.
    package var totalTimeout: Duration = .seconds(30)
    package var maxResponseBytes = 1 << 20
    package var maxHeaderBytes = 64 << 10
    package var connectionsPerHost = 8
    package var connectionsKept = 16
    /// Addresses to use instead of resolving, as `host:port:address`.
    package var resolve: [String] = []

    package init(caFile: String? = nil) { self.caFile = caFile }
  }

  private let configuration: Configuration
  private let loop: TransferLoop
  private let nextID = Atomic<UInt64>(0)

  package init(configuration: Configuration = Configuration()) {
    self.configuration = configuration
    self.loop = TransferLoop(
      connectionsPerHost: configuration.connectionsPerHost, connectionsKept: configuration.connectionsKept)
  }

  deinit { loop.stop() }

  /// Sends the request and waits for the whole response. Cancelling the task aborts the transfer.
  package func send(_ request: HTTPRequest) async throws(HTTPError) -> HTTPResponse {
    let url = try RequestURL(request.url)
    try Self.check(request, url: url)
    let total = Deadline.after(configuration.totalTimeout)
    let order = TransferOrder(
      id: nextID.wrappingAdd(1, ordering: .relaxed).newValue, request: request, url: url,
      deadline: min(total, request.deadline ?? total), configuration: configuration)
    let result: TransferResult = await withTaskCancellationHandler {
      await withCheckedContinuation { loop.start(order, $0) }
    } onCancel: {
      loop.cancel(order.id, with: order.cancelled)
    }
    return try result.get()
  }

  /// Fails the requests in flight and refuses further ones. A client that is let go of does the same.
  package func shutDown() { loop.stop() }

  /// A line break in a header would let its value add headers of its own.
  private static func check(_ request: HTTPRequest, url: RequestURL) throws(HTTPError) {
    let isToken: (String) -> Bool = { text in
      !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: ":") }
    }
    guard isToken(request.method) else {
      throw HTTPError(code: .invalidRequest, url: url.shown, message: "the method is not a token")
    }
    for (name, value) in request.headers {
      guard isToken(name), !value.utf8.contains(where: { $0 == 0 || $0 == 10 || $0 == 13 }) else {
        throw HTTPError(code: .invalidRequest, url: url.shown, message: "a header has forbidden characters")
      }
    }
  }
}
