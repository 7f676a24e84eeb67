import Logging
import NIOCore
import Platform

/// Serves one connection of the gateway from its first packet to its end (LAKEBASE.md, b.2, 2 to 7).
struct ConnectionService: Sendable {
  let state: WorkspaceState
  let sessions: SessionRegistry
  let connector: UpstreamConnector
  let login: LoginCheck
  let loginTimeout: Duration
  let logger: Logger

  func serve(_ arrival: GatewayArrival) async {
    do {
      try await arrival.channel.executeThenClose { inbound, outbound in
        // Late is whoever has not logged in; the real gateway then speaks of an insecure connection.
        let timer = arrival.closeAfter(loginTimeout)
        defer { timer.cancel() }
        switch try await arrival.opening.get() {
        case .closed: return
        case .cancel(let key): try await cancel(key)
        case .encrypted(let serverName):
          var client = ClientReader(inbound)
          do {
            let accepted = try await admit(serverName, &client, outbound)
            timer.cancel()
            if let (startup, session) = accepted {
              try await relay(startup, session, &client, outbound, arrival.channel.channel)
            }
          } catch let refusal as Refusal {
            if !refusal.isSilent { try await outbound.write(WireMessage.error(refusal)) }
          }
        }
      }
    } catch {
      logger.debug("a gateway connection ended", metadata: ["error": "\(error)"])
    }
  }

  private func cancel(_ key: CancelKey) async throws {
    guard let session = sessions.session(of: key), let upstreamKey = session.upstreamKey else { return }
    try await connector.cancel(upstreamKey, on: session.instance)
  }

  /// Everything before the server behind is spoken to; nil if the client left.
  private func admit(
    _ serverName: String?, _ client: inout ClientReader, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
  ) async throws -> (StartupMessage, GatewaySession)? {
    guard let startup = try await client.startup() else { return nil }
    guard let serverName else { throw Refusal.noServerName }
    guard let instance = state.instance(host: serverName)?.instance else { throw Refusal.externalAuthorization() }
    let admission = Admission(state: state)
    try await admission.admit(instance.name)
    try await outbound.write(WireMessage.authenticationCleartextPassword)
    guard let password = try await client.password() else { return nil }
    try await login.verify(password, user: startup.user, instance: instance)
    let limit = state.instance(named: instance.name)?.connectionLimit ?? 0
    guard let session = sessions.open(instance, limit: limit) else { throw Refusal.tooManyConnections }
    // A stop since the first look did not know of this session.
    do { try await admission.admit(instance.name) } catch {
      sessions.close(session)
      throw error
    }
    return (startup, session)
  }

  private func relay(
    _ startup: StartupMessage, _ session: GatewaySession, _ client: inout ClientReader,
    _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>, _ clientChannel: any Channel
  ) async throws {
    defer { sessions.close(session) }
    let upstream = try await connector.connect(session.instance)
    try await upstream.executeThenClose { fromServer, toServer in
      session.attach(upstream.channel)
      try await toServer.write(startup.bytes)
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          defer { clientChannel.close(promise: nil) }
          try await feed(fromServer, to: outbound, session)
        }
        do {
          while let chunk = try await client.next() { try await toServer.write(chunk) }
        } catch {
          // One of the two sides is gone: what there is to say to the client, the feed says.
          logger.debug("a gateway session ended", metadata: ["error": "\(error)"])
        }
        upstream.channel.close(promise: nil)
        try await group.waitForAll()
      }
    }
  }

  private func feed(
    _ fromServer: NIOAsyncChannelInboundStream<ByteBuffer>, to client: NIOAsyncChannelOutboundWriter<ByteBuffer>,
    _ session: GatewaySession
  ) async throws {
    var feed = ClientFeed(session)
    for try await chunk in fromServer {
      let output = feed.pass(chunk)
      if output.readableBytes > 0 { try await client.write(output) }
      if session.passed(isBetweenMessages: feed.isBetweenMessages), feed.isBetweenMessages { break }
    }
    guard session.isStopping else { return }
    if feed.isBetweenMessages { try await client.write(WireMessage.error(.stopped)) }
    // The real server ends what it was doing; behind the gateway only a cancel request makes it do so.
    if let key = session.upstreamKey { try await connector.cancel(key, on: session.instance) }
  }
}
