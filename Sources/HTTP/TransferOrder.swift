import Platform
import Synchronization

typealias TransferResult = Result<HTTPResponse, HTTPError>

/// What the transfer thread needs to know to make one request.
struct TransferOrder: Sendable {
  let id: UInt64
  let request: HTTPRequest
  let url: RequestURL
  let deadline: Deadline
  let configuration: HTTPClient.Configuration
  /// Set before the thread is told, because the telling may overtake the order itself.
  let cancelled = CancelFlag()
}

/// True from the moment on at which the caller gave up.
final class CancelFlag: Sendable {
  private let flag = Atomic<Bool>(false)
  var isSet: Bool { flag.load(ordering: .acquiring) }
  func set() { flag.store(true, ordering: .releasing) }
}
