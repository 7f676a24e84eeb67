internal import CLibcurl
import Synchronization

/// libcurl's set of transfers with its kept connections.
///
/// `@unchecked`: `handle` never changes. `wake` is the one call that libcurl allows from any thread; the others are
/// made by the transfer thread alone. `isClosed` keeps wake-ups from a handle that is gone.
final class MultiHandle: @unchecked Sendable {
  /// How long the thread sleeps when nothing at all happens; wake-ups and libcurl's own timers cut it short.
  private static let idleMilliseconds: Int32 = 60_000

  /// Not thread-safe in older builds of libcurl, hence once, before the first handle.
  private static let isReady: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  private let handle: UnsafeMutableRawPointer
  private let isClosed = Mutex(false)

  init(connectionsPerHost: Int, connectionsKept: Int) {
    guard Self.isReady, let handle = curl_multi_init() else { preconditionFailure("libcurl cannot start") }
    self.handle = handle
    _ = sluice_curl_multi_set_long(handle, CURLMOPT_MAX_HOST_CONNECTIONS, connectionsPerHost)
    _ = sluice_curl_multi_set_long(handle, CURLMOPT_MAXCONNECTS, connectionsKept)
  }

  func wake() {
    isClosed.withLock { isClosed in
      if !isClosed { curl_multi_wakeup(handle) }
    }
  }

  /// Closes the kept connections. The last call; transfers have been taken out before.
  func close() {
    isClosed.withLock { $0 = true }
    curl_multi_cleanup(handle)
  }

  func add(_ transfer: Transfer) throws(HTTPError) {
    guard curl_multi_add_handle(handle, transfer.easy) == CURLM_OK else {
      throw transfer.error(.invalidRequest, "libcurl does not take the request")
    }
  }

  func remove(_ transfer: Transfer) { curl_multi_remove_handle(handle, transfer.easy) }

  func perform() {
    var running: Int32 = 0
    curl_multi_perform(handle, &running)
  }

  /// Waits for sockets, timers or a wake-up.
  func wait() { curl_multi_poll(handle, nil, 0, Self.idleMilliseconds, nil) }

  /// The number of a transfer that has ended since, and how.
  func nextFinished() -> (id: UInt64, code: CURLcode)? {
    var left: Int32 = 0
    while let message = curl_multi_info_read(handle, &left) {
      guard message.pointee.msg == CURLMSG_DONE else { continue }
      var context: UnsafeMutableRawPointer?
      _ = sluice_curl_get_pointer(message.pointee.easy_handle, CURLINFO_PRIVATE, &context)
      guard let context else { continue }
      return (Transfer.at(context).order.id, message.pointee.data.result)
    }
    return nil
  }
}
