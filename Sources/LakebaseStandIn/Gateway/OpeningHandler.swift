import NIOCore
import NIOSSL
import NIOTLS

/// What the first packet of a connection turned out to be.
enum Opening: Sendable {
  /// TLS follows or is done; the server name is what the client asked for, if it did.
  case encrypted(serverName: String?)
  case cancel(CancelKey)
  /// Refused, or gone.
  case closed
}

/// Reads the first packet in the clear, and puts TLS into the pipeline where it is asked for.
final class OpeningHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private static let requestLength = 8
  private static let cancelLength = 16

  private let tls: NIOSSLContext
  private let opening: EventLoopPromise<Opening>
  private var received = ByteBuffer()

  init(tls: NIOSSLContext, opening: EventLoopPromise<Opening>) {
    self.tls = tls
    self.opening = opening
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    received.writeBuffer(&bytes)
    guard let length = received.getInteger(at: 0, as: Int32.self), let code = received.getInteger(at: 4, as: Int32.self)
    else { return }
    switch code {
    case WireMessage.sslRequestCode where received.readableBytes == Self.requestLength: startTLS(context)
    case WireMessage.sslRequestCode: refuse(.unencryptedData, context)
    case WireMessage.cancelRequestCode where length == Self.cancelLength: readCancel(context)
    default: refuse(.invalidProtocol(code), context)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    opening.succeed(.closed)
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    // Changes nothing if the first packet has been seen; else the connection failed before it.
    if !context.channel.isActive { opening.succeed(.closed) }
  }

  private func startTLS(_ context: ChannelHandlerContext) {
    let (pipeline, eventLoop, tls, opening) = (context.pipeline.syncOperations, context.eventLoop, tls, opening)
    var position: ChannelPipeline.SynchronousOperations.Position?
    let names = ByteToMessageHandler(
      SNIHandler { result in
        let name: String? = if case .hostname(let name) = result { name } else { nil }
        do {
          guard let position else { preconditionFailure("a server name came before the handler was in the pipeline") }
          try pipeline.addHandler(NIOSSLServerHandler(context: tls), position: position)
          opening.succeed(.encrypted(serverName: name))
          return eventLoop.makeSucceededVoidFuture()
        } catch {
          opening.succeed(.closed)
          return eventLoop.makeFailedFuture(error)
        }
      })
    position = .after(names)
    do {
      try pipeline.addHandler(names, position: .after(self))
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "S")), promise: nil)
      pipeline.removeHandler(self, promise: nil)
    } catch {
      context.close(promise: nil)
    }
  }

  private func readCancel(_ context: ChannelHandlerContext) {
    guard received.readableBytes >= Self.cancelLength else { return }
    received.moveReaderIndex(forwardBy: Self.requestLength)
    opening.succeed(CancelKey(readFrom: &received).map { .cancel($0) } ?? .closed)
  }

  private func refuse(_ refusal: Refusal, _ context: ChannelHandlerContext) {
    opening.succeed(.closed)
    context.writeAndFlush(wrapOutboundOut(WireMessage.error(refusal)), promise: nil)
    context.close(promise: nil)
  }
}
