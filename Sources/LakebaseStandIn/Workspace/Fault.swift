import Foundation

/// A misbehaviour to show on requests of one route, for a number of times.
package struct Fault: Codable, Sendable {
  /// Beginning of `METHOD /path`.
  package var route: String
  package var times: Int
  /// Answer with it instead of doing the work; without it only the delay happens.
  package var status: Int?
  package var body: String?
  package var contentType: String?
  /// Value of the `Retry-After` header.
  package var retryAfter: String?
  package var delayMilliseconds: Int?
  /// Closes the connection in the middle of the body.
  package var isTruncated: Bool?

  package init(
    route: String, times: Int = 1, status: Int? = nil, body: String? = nil, contentType: String? = nil,
    retryAfter: String? = nil, delayMilliseconds: Int? = nil, isTruncated: Bool? = nil
  ) {
    self.route = route
    self.times = times
    self.status = status
    self.body = body
    self.contentType = contentType
    self.retryAfter = retryAfter
    self.delayMilliseconds = delayMilliseconds
    self.isTruncated = isTruncated
  }
}

/// How often a route was called, and how many calls of it were under way at the same time at most.
package struct RouteCount: Codable, Sendable, Equatable {
  package var calls = 0
  package var mostAtOnce = 0
  var underWay = 0
}
