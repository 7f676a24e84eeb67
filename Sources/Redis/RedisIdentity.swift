import Foundation
import NIOSSL

/// What a client proves itself with to a server that asks (`tls-auth-clients`): a certificate, followed by those that
/// lead to its authority, and its key, as PEM files. They are read for each connection, so renewed files are used.
package struct RedisIdentity: Sendable, Hashable {
  package let certificateFile: String
  package let keyFile: String

  package init(certificateFile: String, keyFile: String) {
    self.certificateFile = certificateFile
    self.keyFile = keyFile
  }

  /// What keeps a server from accepting the files now; empty if nothing does. Nothing of the key is repeated.
  package func problems(now: Date = Date()) -> [String] {
    let (certificates, certificateProblem) = Self.certificates(certificateFile, now)
    let (key, keyProblem) = Self.key(keyFile)
    let problems = [certificateProblem, keyProblem].compactMap(\.self)
    guard problems.isEmpty, let key else { return problems }
    var settings = TLSConfiguration.makeClientConfiguration()
    settings.certificateVerification = .none
    settings.certificateChain = certificates.map { .certificate($0) }
    settings.privateKey = .privateKey(key)
    do { _ = try NIOSSLContext(configuration: settings) } catch {
      return ["\(keyFile) is not the key of the certificate in \(certificateFile); give the two that belong together"]
    }
    return []
  }

  private static func certificates(_ file: String, _ now: Date) -> ([NIOSSLCertificate], String?) {
    let certificates: [NIOSSLCertificate]
    do { certificates = try NIOSSLCertificate.fromPEMFile(file) } catch {
      return ([], "\(file) holds no certificate in PEM form that can be read")
    }
    guard let own = certificates.first else { return ([], "\(file) holds no certificate") }
    let (from, to) = (own.notValidBefore, own.notValidAfter)
    let seconds = Int(now.timeIntervalSince1970)
    if seconds > to { return ([], "the certificate in \(file) expired at \(text(to)); renew it") }
    if seconds < from { return ([], "the certificate in \(file) is not valid before \(text(from))") }
    return (certificates, nil)
  }

  private static func key(_ file: String) -> (NIOSSLPrivateKey?, String?) {
    do { return (try NIOSSLPrivateKey(file: file, format: .pem), nil) } catch {
      return (nil, "\(file) holds no private key in PEM form that can be read; it must have no passphrase")
    }
  }

  private static func text(_ time: Int) -> String {
    Date(timeIntervalSince1970: TimeInterval(time)).formatted(.iso8601)
  }
}
