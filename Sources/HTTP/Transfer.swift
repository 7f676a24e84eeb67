internal import CLibcurl
import Platform

/// One request in flight: the libcurl handle, its options, and what has arrived so far.
///
/// Used by the transfer thread only. libcurl holds an unretained pointer to it; the loop keeps it alive until the
/// handle has been taken out.
final class Transfer {
  let order: TransferOrder
  let easy: UnsafeMutableRawPointer
  private var requestHeaders: UnsafeMutablePointer<curl_slist>?
  private var addresses: UnsafeMutablePointer<curl_slist>?
  private var status = 0
  private var headers: [(name: String, value: String)] = []
  private var headerBytes = 0
  private var body: [UInt8] = []
  private var isTooLarge = false

  init(_ order: TransferOrder) throws(HTTPError) {
    guard let easy = curl_easy_init() else { preconditionFailure("libcurl is out of memory") }
    self.order = order
    self.easy = easy
    if order.cancelled.isSet { throw error(.cancelled, "the caller gave up") }
    let left = order.deadline.remainingMilliseconds
    if left == 0 { throw error(.timedOut, "the deadline had passed before the request began") }
    setLimits(milliseconds: left)
    setTarget()
    setHeaders()
    setBody()
    setReceivers()
  }

  deinit {
    curl_easy_cleanup(easy)
    curl_slist_free_all(requestHeaders)
    curl_slist_free_all(addresses)
  }

  static func at(_ pointer: UnsafeMutableRawPointer) -> Transfer {
    Unmanaged<Transfer>.fromOpaque(pointer).takeUnretainedValue()
  }

  func error(_ code: HTTPError.Code, _ message: String) -> HTTPError {
    HTTPError(code: code, url: order.url.shown, message: message)
  }

  func result(of code: CURLcode) -> TransferResult {
    if isTooLarge { return .failure(tooLarge) }
    guard code == CURLE_OK else { return .failure(failure(code)) }
    return .success(HTTPResponse(status: status, headers: headers, body: body))
  }

  /// Takes a piece of the body; false ends the transfer.
  func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
    isTooLarge = body.count + bytes.count > order.configuration.maxResponseBytes
    if !isTooLarge { body.append(contentsOf: bytes) }
    return !isTooLarge
  }

  /// Takes one header line; a status line starts afresh, because an interim answer may have come before.
  func receiveHeader(_ bytes: UnsafeRawBufferPointer) -> Bool {
    headerBytes += bytes.count
    isTooLarge = headerBytes > order.configuration.maxHeaderBytes
    let line = String(decoding: bytes, as: UTF8.self)
    if line.hasPrefix("HTTP/") {
      status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
      headers = []
    } else if let colon = line.firstIndex(of: ":") {
      let value = line[line.index(after: colon)...].drop { $0.isWhitespace }
      let end = value.lastIndex { !$0.isWhitespace }.map { value.index(after: $0) } ?? value.startIndex
      headers.append((String(line[..<colon]), String(value[..<end])))
    }
    return !isTooLarge
  }

  private var tooLarge: HTTPError {
    let configuration = order.configuration
    return error(
      .tooLarge,
      "the response has more than \(configuration.maxResponseBytes) bytes, or its headers more than "
        + "\(configuration.maxHeaderBytes)")
  }

  private func failure(_ code: CURLcode) -> HTTPError {
    let text = String(cString: curl_easy_strerror(code))
    switch code {
    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: return error(.resolve, text)
    case CURLE_COULDNT_CONNECT: return error(.connect, text)
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE: return error(.certificate, text)
    case CURLE_SSL_CONNECT_ERROR: return error(.tls, text)
    case CURLE_OPERATION_TIMEDOUT: return error(.timedOut, "no complete answer within the deadline")
    case CURLE_FILESIZE_EXCEEDED: return tooLarge
    case CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING: return error(.connectionLost, text)
    case CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT: return error(.invalidURL, text)
    default: return error(.protocolViolation, text)
    }
  }

  private func setLimits(milliseconds: Int) {
    let configuration = order.configuration
    _ = sluice_curl_set_long(easy, CURLOPT_NOSIGNAL, 1)
    // Without it a look-up that has timed out is waited for, and stalls every transfer (measured: 3 s).
    _ = sluice_curl_set_long(easy, CURLOPT_QUICK_EXIT, 1)
    _ = sluice_curl_set_long(easy, CURLOPT_TIMEOUT_MS, milliseconds)
    _ = sluice_curl_set_long(
      easy, CURLOPT_CONNECTTIMEOUT_MS, max(1, configuration.connectTimeout.wholeMilliseconds))
    _ = sluice_curl_set_size(easy, CURLOPT_MAXFILESIZE_LARGE, curl_off_t(configuration.maxResponseBytes))
    _ = sluice_curl_set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https")
    if let caFile = configuration.caFile { _ = sluice_curl_set_text(easy, CURLOPT_CAINFO, caFile) }
  }

  private func setTarget() {
    _ = sluice_curl_set_text(easy, CURLOPT_URL, order.url.text)
    _ = sluice_curl_set_text(easy, CURLOPT_USERAGENT, "sluice")
    // A proxy cannot reach what listens on our own loopback address.
    if order.url.isLoopback { _ = sluice_curl_set_text(easy, CURLOPT_PROXY, "") }
    for address in order.configuration.resolve { addresses = curl_slist_append(addresses, address) }
    if addresses != nil { _ = sluice_curl_set_list(easy, CURLOPT_RESOLVE, addresses) }
  }

  private func setHeaders() {
    // libcurl would otherwise ask for an interim answer before larger bodies, which costs up to a second.
    requestHeaders = curl_slist_append(requestHeaders, "Expect:")
    for (name, value) in order.request.headers {
      // A header without a value is spelled with a semicolon; with a colon it would be taken out.
      requestHeaders = curl_slist_append(requestHeaders, value.isEmpty ? "\(name);" : "\(name): \(value)")
    }
    _ = sluice_curl_set_list(easy, CURLOPT_HTTPHEADER, requestHeaders)
  }

  private func setBody() {
    if let bytes = order.request.body {
      _ = sluice_curl_set_size(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count))
      _ = bytes.withUnsafeBytes { sluice_curl_set_body(easy, $0.baseAddress ?? UnsafeRawPointer(easy)) }
    }
    if order.request.method == "HEAD" { _ = sluice_curl_set_long(easy, CURLOPT_NOBODY, 1) }
    _ = sluice_curl_set_text(easy, CURLOPT_CUSTOMREQUEST, order.request.method)
  }

  private func setReceivers() {
    let context = Unmanaged.passUnretained(self).toOpaque()
    _ = sluice_curl_set_pointer(easy, CURLOPT_PRIVATE, context)
    _ = sluice_curl_set_pointer(easy, CURLOPT_WRITEDATA, context)
    _ = sluice_curl_set_pointer(easy, CURLOPT_HEADERDATA, context)
    _ = sluice_curl_set_callback(easy, CURLOPT_WRITEFUNCTION) { bytes, _, count, context in
      guard let context else { return 0 }
      return Transfer.at(context).receive(UnsafeRawBufferPointer(start: bytes, count: count)) ? count : 0
    }
    _ = sluice_curl_set_callback(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
      guard let context else { return 0 }
      let bytes = UnsafeRawBufferPointer(start: bytes, count: size * count)
      return Transfer.at(context).receiveHeader(bytes) ? size * count : 0
    }
  }
}
