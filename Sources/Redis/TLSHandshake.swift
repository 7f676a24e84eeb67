import NIOSSL
import Platform

/// What channels need to speak TLS.
struct TLSHandshake: Sendable {
  private let context: NIOSSLContext

  init(_ tls: RedisConfiguration.TLS) throws(RedisError) {
    var settings = TLSConfiguration.makeClientConfiguration()
    settings.certificateVerification = tls.verifies ? .fullVerification : .none
    if let file = tls.caFile { settings.trustRoots = .file(file) }
    do {
      if let identity = tls.identity {
        settings.certificateChain = try NIOSSLCertificate.fromPEMFile(identity.certificateFile).map { .certificate($0) }
        settings.privateKey = .privateKey(try NIOSSLPrivateKey(file: identity.keyFile, format: .pem))
      }
      context = try NIOSSLContext(configuration: settings)
    } catch {
      let files = [tls.caFile, tls.identity?.certificateFile, tls.identity?.keyFile].compactMap(\.self)
      throw RedisError(
        .configuration, "TLS cannot be set up with \(files.joined(separator: ", ")): \(Self.reason(of: error) ?? "")")
    }
  }

  func handler(for host: String) throws -> NIOSSLClientHandler {
    // SNI carries names only; for a numeric host the certificate is checked against the address.
    try NIOSSLClientHandler(context: context, serverHostname: Resolver.isNumeric(host) ? nil : host)
  }

  /// What a TLS error means to whoever set up the two ends; nil for errors of another kind.
  static func reason(of error: any Error) -> String? {
    switch error {
    case let error as NIOSSLExtraError where error == .failedToValidateHostname:
      return "the server's certificate was made for another host name or address"
    case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError: break
    default: return nil
    }
    let text = "\(error)"
    return meanings.first { text.contains($0.sign) }?.meaning ?? "TLS failed: \(text)"
  }

  /// By the names that BoringSSL gives to errors and to alerts of the other side (RFC 8446, section 6.2).
  private static let meanings: [(sign: String, meaning: String)] = [
    (
      "CERTIFICATE_VERIFY_FAILED",
      "the server's certificate is expired, or not of an authority that is trusted; give the right CA file"
    ),
    ("CERTIFICATE_REQUIRED", "the server asks for a client certificate; give one and its key"),
    ("HANDSHAKE_FAILURE", "the server refused the handshake; it may ask for a client certificate"),
    ("ALERT_CERTIFICATE_EXPIRED", "the server refused our certificate, because it is expired; renew it"),
    ("ALERT_UNKNOWN_CA", "the server does not trust the authority of our certificate; give one that it knows"),
    ("ALERT_BAD_CERTIFICATE", "the server refused our certificate"),
    ("ALERT_CERTIFICATE", "the server refused our certificate"),
  ]
}
