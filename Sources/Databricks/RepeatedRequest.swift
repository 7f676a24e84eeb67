import HTTP
import Platform

/// Sends a request until it is answered or its limits are used up.
///
/// Repeated are 429, 502, 503, 504 and broken connections, with full jitter and never before `Retry-After`; 500 only
/// twice, because the official SDKs do not repeat it but ours are all safe to repeat. Source: databricks-sdk-go
/// `auth/retry.go`.
struct RepeatedRequest: Sendable {
  struct Limits: Sendable {
    /// From the first attempt to the last answer.
    var budget: Duration = .seconds(60)
    var attempts = 8
    var attemptsOnInternalError = 3
    var backoff = Backoff(base: .seconds(1), cap: .seconds(60))
  }

  let http: HTTPClient
  let limits: Limits
  let time: WorkspaceTime

  func send(
    _ request: HTTPRequest, operation: String, deadline: Deadline?
  ) async throws(DatabricksError) -> HTTPResponse {
    let budget = Deadline(time.now().advanced(by: limits.budget))
    var request = request
    request.deadline = min(budget, deadline ?? budget)
    var attempts = 0
    while true {
      let failure: DatabricksError
      do throws(HTTPError) {
        let response = try await http.send(request)
        if response.isSuccess { return response }
        failure = ResponseFailure.error(response, operation: operation)
      } catch {
        failure = Self.failure(error, operation: operation)
      }
      attempts += 1
      guard let pause = pause(after: failure, attempts: attempts), let end = request.deadline,
        time.now().advanced(by: pause) < end.instant
      else { throw failure }
      do { try await time.sleep(pause) } catch {
        throw DatabricksError(code: .cancelled, operation: operation, message: "the caller gave up")
      }
    }
  }

  private func pause(after failure: DatabricksError, attempts: Int) -> Duration? {
    guard attempts < limits.attempts else { return nil }
    if failure.status == 500, attempts >= limits.attemptsOnInternalError { return nil }
    let drawn = limits.backoff.bound(failures: attempts) * time.jitter(0...1)
    switch failure.code {
    case .throttled(let named), .unavailable(let named): return max(drawn, named ?? .zero)
    case .transport(let error) where error.isTransient: return drawn
    default: return nil
    }
  }

  private static func failure(_ error: HTTPError, operation: String) -> DatabricksError {
    let code: DatabricksError.Code = error.code == .cancelled ? .cancelled : .transport(error)
    return DatabricksError(code: code, operation: operation, message: error.message)
  }
}
