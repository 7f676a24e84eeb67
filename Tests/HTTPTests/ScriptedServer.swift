import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// Answers each HTTP request on loopback with bytes that the test names, and remembers what it was sent.
final class ScriptedServer: Sendable {
  enum Answer: Sendable {
    case bytes(String)
    /// Bytes, and then the end of the connection.
    case bytesThenClose(String)
    /// Nothing, ever.
    case silence
  }

  private struct Seen {
    var requests: [String] = []
    var connections = 0
    var closed = 0
  }

  let url: String
  private let channel: any Channel
  private let seen: SeenBox

  /// What has happened so far, and who waits for more of it.
  final class SeenBox: Sendable {
    private let state = Mutex(
      (seen: Seen(), waiters: [(@Sendable (Int, Int, Int) -> Bool, CheckedContinuation<Void, Never>)]()))

    var requests: [String] { state.withLock { $0.seen.requests } }
    var connections: Int { state.withLock { $0.seen.connections } }

    func note(request: String? = nil, connected: Bool = false, closed: Bool = false) {
      let ready = state.withLock { state -> [CheckedContinuation<Void, Never>] in
        if let request { state.seen.requests.append(request) }
        if connected { state.seen.connections += 1 }
        if closed { state.seen.closed += 1 }
        let (met, unmet) = state.waiters.reduce(into: ([CheckedContinuation<Void, Never>](), state.waiters.prefix(0))) {
          if $1.0(state.seen.requests.count, state.seen.connections, state.seen.closed) {
            $0.0.append($1.1)
          } else {
            $0.1.append($1)
          }
        }
        state.waiters = Array(unmet)
        return met
      }
      for waiter in ready { waiter.resume() }
    }

    func wait(until condition: @escaping @Sendable (_ requests: Int, _ connections: Int, _ closed: Int) -> Bool) async {
      await withCheckedContinuation { continuation in
        let isMet = state.withLock { state in
          if condition(state.seen.requests.count, state.seen.connections, state.seen.closed) { return true }
          state.waiters.append((condition, continuation))
          return false
        }
        if isMet { continuation.resume() }
      }
    }
  }

  private init(channel: any Channel, seen: SeenBox) {
    self.channel = channel
    self.seen = seen
    url = "http://127.0.0.1:\(channel.localAddress?.port ?? 0)"
  }

  var requests: [String] { seen.requests }
  var connections: Int { seen.connections }
  func waitForRequests(_ count: Int) async { await seen.wait { requests, _, _ in requests >= count } }
  func waitForClosed(_ count: Int) async { await seen.wait { _, _, closed in closed >= count } }

  static func start(_ answer: @escaping @Sendable (String) -> Answer) async throws -> ScriptedServer {
    let seen = SeenBox()
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        seen.note(connected: true)
        channel.closeFuture.whenComplete { _ in seen.note(closed: true) }
        return channel.pipeline.addHandler(AnswerHandler(seen: seen, answer: answer))
      }
      .bind(host: "127.0.0.1", port: 0).get()
    return ScriptedServer(channel: channel, seen: seen)
  }

  func shutDown() async throws { try await channel.close() }

  static func ok(_ body: String, headers: String = "") -> Answer {
    .bytes("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)")
  }
}

/// `@unchecked`: used on the event loop of its channel only.
private final class AnswerHandler: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let seen: ScriptedServer.SeenBox
  private let answer: @Sendable (String) -> ScriptedServer.Answer
  private var received = ""

  init(seen: ScriptedServer.SeenBox, answer: @escaping @Sendable (String) -> ScriptedServer.Answer) {
    self.seen = seen
    self.answer = answer
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    received += String(buffer: unwrapInboundIn(data))
    guard let end = received.range(of: "\r\n\r\n") else { return }
    let head = received[..<end.lowerBound].lowercased()
    let length =
      head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
      .flatMap { Int($0.dropFirst(15).filter { !$0.isWhitespace }) } ?? 0
    guard received[end.upperBound...].utf8.count >= length else { return }
    let request = received
    received = ""
    seen.note(request: request)
    switch answer(request) {
    case .bytes(let text): context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    case .bytesThenClose(let text):
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
      context.close(promise: nil)
    case .silence: break
    }
  }
}
