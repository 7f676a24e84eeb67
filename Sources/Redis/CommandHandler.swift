import NIOCore
import Platform

/// Commands that are written together, and whoever awaits their replies.
struct Submission: Sendable {
  let bytes: ByteBuffer
  let commands: Int
  let deadline: Deadline
  let replies: Awaited<[RedisValue]>
}

/// Matches replies to commands, in order, at the end of a channel's pipeline. Used on its event loop only.
///
/// A late reply cannot be told from the next command's, so a deadline that passes closes the channel. So does a reply by
/// which the server says that it is not, or not yet, the one that takes writes: the next command finds out which is.
final class CommandHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private struct Pending {
    let submission: Submission
    var collected: [RedisValue] = []
  }

  private let limits: RedisConfiguration.Limits
  private let reader: ReplyReader
  private var context: ChannelHandlerContext?
  private var pending = CircularBuffer<Pending>()
  private var commandsInFlight = 0
  private var bytesOfReply = 0
  private var isFlushScheduled = false
  private var timer: (task: Scheduled<Void>, deadline: Deadline)?
  private var failure: RedisError?
  /// What a server said that is not to be talked to any more.
  private var farewell: RedisServerError?
  private let health: ConnectionHealth

  init(limits: RedisConfiguration.Limits, health: ConnectionHealth) throws(RedisError) {
    self.limits = limits
    self.health = health
    reader = try ReplyReader()
  }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) {
    fail(RedisError(.unavailable, "the connection was closed"))
    self.context = nil
  }

  /// Writes the commands; the writes of one tick of the event loop are flushed together.
  func submit(_ submission: Submission) {
    guard let context, failure == nil else {
      let reason = failure ?? RedisError(.unavailable, "the connection is closed")
      return submission.replies.deliver(.failure(reason))
    }
    guard commandsInFlight + submission.commands <= limits.commandsInFlight else {
      let text = "more than \(limits.commandsInFlight) commands await a reply; send fewer at a time"
      return submission.replies.deliver(.failure(RedisError(.overloaded, text)))
    }
    commandsInFlight += submission.commands
    pending.append(Pending(submission: submission))
    context.write(wrapOutboundOut(submission.bytes), promise: nil)
    scheduleFlush(context)
    armTimer(for: submission.deadline, context)
  }

  private func scheduleFlush(_ context: ChannelHandlerContext) {
    if isFlushScheduled { return }
    isFlushScheduled = true
    context.eventLoop.assumeIsolated().execute {
      self.isFlushScheduled = false
      self.context?.flush()
    }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    bytesOfReply += buffer.readableBytes
    do throws(RedisError) {
      try feed(buffer)
      while let value = try reader.next() { try accept(value) }
      guard bytesOfReply <= limits.replyBytes else {
        throw RedisError(.protocolViolation, "a reply is longer than the limit of \(limits.replyBytes) bytes")
      }
    } catch {
      close(because: error)
    }
  }

  private func feed(_ buffer: ByteBuffer) throws(RedisError) {
    let outcome = buffer.withUnsafeReadableBytes { bytes in
      Result { () throws(RedisError) in try reader.feed(bytes) }
    }
    try outcome.get()
  }

  private func accept(_ value: RedisValue) throws(RedisError) {
    bytesOfReply = 0
    guard !pending.isEmpty else {
      throw RedisError(.protocolViolation, "a reply came that nobody asked for")
    }
    pending[pending.startIndex].collected.append(value)
    commandsInFlight -= 1
    if case .error(let error) = value, error.isNotFromPrimary { farewell = error }
    guard let first = pending.first, first.collected.count == first.submission.commands else { return }
    pending.removeFirst()
    // Before the reply, so that whoever reads it and tries again finds no trace of this connection.
    if let farewell {
      close(because: RedisError(.unavailable, "the connection was closed, because the server said: \(farewell.text)"))
    }
    first.submission.replies.deliver(.success(first.collected))
    if pending.isEmpty { stopTimer() }
  }

  func channelInactive(context: ChannelHandlerContext) {
    fail(RedisError(.unavailable, "the server closed the connection"))
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    close(because: RedisError(.unavailable, "the connection broke: \(RedisConnection.reason(of: error))"))
  }

  func close(because reason: RedisError) {
    fail(reason)
    context?.close(promise: nil)
  }

  private func fail(_ reason: RedisError) {
    if failure == nil { failure = reason }
    health.fail()
    stopTimer()
    commandsInFlight = 0
    while let entry = pending.popFirst() {
      let isLate = reason.code == .timedOut && !entry.submission.deadline.hasPassed
      entry.submission.replies.deliver(.failure(isLate ? Self.behindLateReply : reason))
    }
  }

  private static let behindLateReply = RedisError(
    .unavailable, "the connection was closed, because the reply to an earlier command did not come in time")
}

/// One timer, for the earliest deadline.
extension CommandHandler {
  private func armTimer(for deadline: Deadline, _ context: ChannelHandlerContext) {
    if let timer, timer.deadline <= deadline { return }
    stopTimer()
    let delay = TimeAmount.milliseconds(Int64(deadline.remainingMilliseconds))
    let task = context.eventLoop.assumeIsolated().scheduleTask(in: delay) { self.checkDeadlines() }
    timer = (task, deadline)
  }

  private func stopTimer() {
    timer?.task.cancel()
    timer = nil
  }

  private func checkDeadlines() {
    timer = nil
    guard let context, let earliest = pending.map(\.submission.deadline).min() else { return }
    if earliest.hasPassed {
      close(because: RedisError(.timedOut, "no reply came before the deadline; the connection was closed"))
    } else {
      armTimer(for: earliest, context)
    }
  }
}
