internal import CLibcurl
import Foundation
import Synchronization

/// The thread that runs all transfers of a client, and the inbox through which callers reach it.
final class TransferLoop: Sendable {
  typealias Caller = CheckedContinuation<TransferResult, Never>

  private struct Inbox {
    var orders: [(TransferOrder, Caller)] = []
    var cancelled: [UInt64] = []
    var isStopped = false
  }

  private let inbox = Mutex(Inbox())
  private let multi: MultiHandle

  init(connectionsPerHost: Int, connectionsKept: Int) {
    multi = MultiHandle(connectionsPerHost: connectionsPerHost, connectionsKept: connectionsKept)
    let thread = Thread { [self] in run() }
    thread.name = "http"
    thread.start()
  }

  func start(_ order: TransferOrder, _ caller: Caller) {
    let isAccepted = inbox.withLock { inbox in
      if !inbox.isStopped { inbox.orders.append((order, caller)) }
      return !inbox.isStopped
    }
    if isAccepted { multi.wake() } else { caller.resume(returning: .failure(Self.closed(order))) }
  }

  func cancel(_ id: UInt64, with flag: CancelFlag) {
    flag.set()
    inbox.withLock { $0.cancelled.append(id) }
    multi.wake()
  }

  func stop() {
    inbox.withLock { $0.isStopped = true }
    multi.wake()
  }

  private func run() {
    var transfers: [UInt64: (transfer: Transfer, caller: Caller)] = [:]
    while true {
      let work = inbox.withLock { inbox in
        defer { inbox = Inbox(isStopped: inbox.isStopped) }
        return inbox
      }
      for (order, caller) in work.orders { begin(order, caller, &transfers) }
      for id in work.cancelled { end(id, &transfers) { .failure($0.error(.cancelled, "the caller gave up")) } }
      if work.isStopped { break }
      multi.perform()
      while let (id, code) = multi.nextFinished() { end(id, &transfers) { $0.result(of: code) } }
      multi.wait()
    }
    for id in transfers.keys.sorted() { end(id, &transfers) { .failure(Self.closed($0.order)) } }
    multi.close()
  }

  private func begin(
    _ order: TransferOrder, _ caller: Caller, _ transfers: inout [UInt64: (transfer: Transfer, caller: Caller)]
  ) {
    do throws(HTTPError) {
      let transfer = try Transfer(order)
      try multi.add(transfer)
      transfers[order.id] = (transfer, caller)
    } catch {
      caller.resume(returning: .failure(error))
    }
  }

  private func end(
    _ id: UInt64, _ transfers: inout [UInt64: (transfer: Transfer, caller: Caller)],
    _ result: (Transfer) -> TransferResult
  ) {
    guard let (transfer, caller) = transfers.removeValue(forKey: id) else { return }
    multi.remove(transfer)
    caller.resume(returning: result(transfer))
  }

  private static func closed(_ order: TransferOrder) -> HTTPError {
    HTTPError(code: .closed, url: order.url.shown, message: "the client was shut down")
  }
}
