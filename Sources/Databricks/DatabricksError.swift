import HTTP

/// Why the workspace did not do what it was asked. It holds no secret and no token.
package struct DatabricksError: Error, Sendable, CustomStringConvertible {
  package enum Code: Sendable, Equatable {
    /// The token endpoint does not accept the client id and secret.
    case credentialsRefused
    /// The workspace does not accept the access token, twice.
    case tokenRefused
    case forbidden
    case notFound
    /// Too many requests; the workspace may say when to come back.
    case throttled(retryAfter: Duration?)
    /// The workspace is there but cannot answer now.
    case unavailable(retryAfter: Duration?)
    case badRequest
    /// The answer cannot be understood.
    case protocolViolation
    case transport(HTTPError)
    /// The caller's deadline passed.
    case timedOut
    case cancelled
  }

  package let code: Code
  /// What was asked, such as `credential for instance sales`.
  package let operation: String
  /// HTTP status, or nil if there was no response.
  package let status: Int?
  /// The workspace's words, shortened, or what was found out here.
  package let message: String

  package init(code: Code, operation: String, status: Int? = nil, message: String) {
    self.code = code
    self.operation = operation
    self.status = status
    self.message = message
  }

  package var disposition: Disposition {
    switch code {
    case .throttled(let delay), .unavailable(let delay): .soon(after: delay)
    case .transport(let error): error.isTransient ? .soon(after: nil) : .permanent(remedy: error.remedy)
    case .timedOut, .cancelled: .soon(after: nil)
    case .tokenRefused: .reauthenticate
    case .forbidden: .forbidden(remedy: remedy)
    case .credentialsRefused, .notFound, .badRequest, .protocolViolation: .permanent(remedy: remedy)
    }
  }

  package var remedy: String {
    switch code {
    case .credentialsRefused:
      "give the connection a valid client id and OAuth secret of the service principal (secrets expire)"
    case .tokenRefused: "check that the service principal still belongs to the workspace"
    case .forbidden: "allow this address in the workspace's IP access list and grant the service principal CAN USE"
    case .notFound: "correct the name of the instance, or remove the connection if the instance was deleted"
    case .throttled, .unavailable, .timedOut: "nothing: it is tried again"
    case .badRequest: "check the connection's settings against the message"
    case .protocolViolation: "check that the URL is a Databricks workspace's"
    case .transport(let error): error.remedy
    case .cancelled: "nothing: the caller gave up"
    }
  }

  package var description: String {
    let status = status.map { " (HTTP \($0))" } ?? ""
    return "\(operation) failed\(status): \(message); \(remedy)"
  }
}
