import Foundation
import Glibc
import Synchronization

/// Why a host name could not be turned into addresses.
package struct ResolverError: Error, Sendable, CustomStringConvertible {
  package enum Code: Sendable { case notFound, timedOut, cancelled }
  package let code: Code
  package let host: String
  package let detail: String

  package var description: String { "cannot resolve host name \"\(host)\": \(detail)" }
}

/// Name resolution that never blocks a driver's thread.
///
/// libpq and libcurl resolve with a blocking `getaddrinfo`, which no deadline can stop (measured: 3 s against a
/// 300 ms deadline). Here each lookup has a thread of its own; a lookup that outlives its deadline is left behind,
/// and ends when the system's resolver gives up.
package enum Resolver {
  /// Numeric addresses of `host`, in the order the system prefers them.
  package static func addresses(of host: String, deadline: Deadline) async throws(ResolverError) -> [String] {
    if isNumeric(host) { return [host] }
    // Loopback by RFC 6761, section 6.3; the C library knows this only with an extra module.
    if host.lowercased().hasSuffix(".localhost") { return ["127.0.0.1"] }
    let answer = await firstAnswer(for: host, deadline: deadline)
    return try answer.get()
  }

  /// True for an IPv4 or IPv6 literal.
  package static func isNumeric(_ host: String) -> Bool {
    var buffer = in6_addr()
    return inet_pton(AF_INET, host, &buffer) == 1 || inet_pton(AF_INET6, host, &buffer) == 1
  }

  private typealias Answer = Result<[String], ResolverError>

  private static func firstAnswer(for host: String, deadline: Deadline) async -> Answer {
    let once = Once<Answer>()
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        once.onValue { continuation.resume(returning: $0) }
        Thread.detachNewThread { once.set(lookUp(host)) }
        // Outlives this call by at most the deadline: it has nobody left to tell once the lookup has answered.
        Task {
          try? await Task.sleep(until: deadline.instant, clock: .continuous)  // best effort: never cancelled
          once.set(.failure(ResolverError(code: .timedOut, host: host, detail: "no answer within the deadline")))
        }
      }
    } onCancel: {
      once.set(.failure(ResolverError(code: .cancelled, host: host, detail: "cancelled")))
    }
  }

  private static func lookUp(_ host: String) -> Answer {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &list)
    defer { if let list { freeaddrinfo(list) } }
    guard code == 0 else {
      return .failure(ResolverError(code: .notFound, host: host, detail: String(cString: gai_strerror(code))))
    }
    var addresses: [String] = []
    var next = list
    while let info = next?.pointee {
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      if getnameinfo(info.ai_addr, info.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 {
        let address = text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        if !addresses.contains(address) { addresses.append(address) }
      }
      next = info.ai_next
    }
    return .success(addresses)
  }
}

/// A value that is set once; later values are dropped.
private final class Once<Value: Sendable>: Sendable {
  private struct State {
    var value: Value?
    var receiver: (@Sendable (Value) -> Void)?
  }
  private let state = Mutex(State())

  func set(_ value: Value) {
    let receiver = state.withLock { state -> (@Sendable (Value) -> Void)? in
      guard state.value == nil else { return nil }
      state.value = value
      return state.receiver
    }
    receiver?(value)
  }

  func onValue(_ receiver: @escaping @Sendable (Value) -> Void) {
    let value = state.withLock { state -> Value? in
      state.receiver = receiver
      return state.value
    }
    if let value { receiver(value) }
  }
}
