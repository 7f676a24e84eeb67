internal import CLibcurl

/// A URL that was found fit to be requested, and the part of it that may be shown.
struct RequestURL: Sendable {
  let text: String
  /// Scheme, host, port and path: no query, no fragment.
  let shown: String
  let isLoopback: Bool

  init(_ text: String) throws(HTTPError) {
    guard let handle = curl_url() else {
      throw HTTPError(code: .invalidURL, url: "<unknown>", message: "out of memory")
    }
    defer { curl_url_cleanup(handle) }
    guard curl_url_set(handle, CURLUPART_URL, text, 0) == CURLUE_OK,
      let scheme = Self.part(CURLUPART_SCHEME, of: handle), let host = Self.part(CURLUPART_HOST, of: handle)
    else { throw HTTPError(code: .invalidURL, url: "<unreadable>", message: "this is not an absolute URL") }
    let port = Self.part(CURLUPART_PORT, of: handle).map { ":\($0)" } ?? ""
    let shown = "\(scheme)://\(host)\(port)\(Self.part(CURLUPART_PATH, of: handle) ?? "/")"
    guard scheme == "http" || scheme == "https" else {
      throw HTTPError(code: .invalidURL, url: shown, message: "the scheme \(scheme) is not supported")
    }
    guard Self.part(CURLUPART_USER, of: handle) == nil, Self.part(CURLUPART_PASSWORD, of: handle) == nil else {
      throw HTTPError(code: .invalidURL, url: shown, message: "it holds a user name or password")
    }
    self.text = text
    self.shown = shown
    self.isLoopback =
      host == "localhost" || host.hasSuffix(".localhost") || host.hasPrefix("127.") || host == "[::1]"
  }

  private static func part(_ part: CURLUPart, of handle: OpaquePointer) -> String? {
    var value: UnsafeMutablePointer<CChar>?
    guard curl_url_get(handle, part, &value, 0) == CURLUE_OK, let value else { return nil }
    defer { curl_free(value) }
    return String(cString: value)
  }
}
