import Platform

/// One request. Redirects are never followed; a user name or password in the URL is refused.
package struct HTTPRequest: Sendable {
  package var method: String
  /// `http` or `https`.
  package var url: String
  package var headers: [(name: String, value: String)]
  package var body: [UInt8]?
  /// Ends the request before the client's total timeout would; never later.
  package var deadline: Deadline?

  package init(
    method: String = "GET", url: String, headers: [(name: String, value: String)] = [], body: [UInt8]? = nil,
    deadline: Deadline? = nil
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
    self.deadline = deadline
  }
}
