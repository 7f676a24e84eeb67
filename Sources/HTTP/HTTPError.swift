/// Why there is no response. It never carries headers, bodies, or the query and user part of the URL.
package struct HTTPError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Code: String, Sendable {
    /// The host name has no address.
    case resolve
    /// Nobody accepts connections there.
    case connect
    /// The TLS handshake broke off.
    case tls
    /// The peer's certificate is not trusted, or is for another name.
    case certificate
    /// The connection ended before the response was complete.
    case connectionLost
    case timedOut
    case cancelled
    /// More headers or body than the client accepts.
    case tooLarge
    /// The answer is not HTTP.
    case protocolViolation
    case invalidURL
    /// A method or header that HTTP cannot carry.
    case invalidRequest
    /// The client was shut down.
    case closed
  }

  package let code: Code
  /// Scheme, host, port and path.
  package let url: String
  /// What happened.
  package let message: String

  package init(code: Code, url: String, message: String) {
    self.code = code
    self.url = url
    self.message = message
  }

  /// True where the same request may succeed a moment later.
  package var isTransient: Bool {
    switch code {
    case .resolve, .connect, .tls, .connectionLost, .timedOut: true
    case .certificate, .cancelled, .tooLarge, .protocolViolation, .invalidURL, .invalidRequest, .closed: false
    }
  }

  /// What to do about it.
  package var remedy: String {
    switch code {
    case .resolve: "check the host name and this machine's name resolution"
    case .connect: "check that the address is right and that no firewall is in between"
    case .tls, .connectionLost: "try again; if it stays, look for a proxy or firewall in between"
    case .certificate: "give the certificate authority of the host as the CA file, or correct the host name"
    case .timedOut: "try again, or raise the timeout"
    case .cancelled, .closed: "nothing: the caller gave up"
    case .tooLarge: "raise the response limit if the answer is right to be that large"
    case .protocolViolation: "check that the address is an HTTP server's"
    case .invalidURL: "give an absolute http or https URL without user name and password"
    case .invalidRequest: "correct the method and headers"
    }
  }

  package var description: String { "request to \(url) failed: \(message); \(remedy)" }
}
