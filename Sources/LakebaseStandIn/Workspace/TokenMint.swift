import Crypto
import Foundation
import Platform

/// What a token says about its bearer.
struct Claims: Codable, Sendable {
  static let workspaceScope = "all-apis"
  static let databaseScope = "database"
  /// In `instances`: any instance of the workspace.
  static let anyInstance = "*"

  let iss: String
  let sub: String
  let aud: String
  let iat: Int
  let exp: Int
  let jti: String
  let scope: String
  let instances: [String]?
  /// Makes a database credential longer than 512 bytes, as real ones are, so that short buffers show.
  let padding: String?
}

/// Signs and verifies the tokens of the workspace: JWT with HMAC-SHA256 and a key that lives as long as the process.
struct TokenMint: Sendable {
  private let key = SymmetricKey(size: .bits256)
  private static let header = encode(Data(#"{"alg":"HS256","typ":"JWT"}"#.utf8))

  func token(
    for subject: String, scope: String, instances: [String]? = nil, issued: Date, lifetime: Duration
  ) throws -> Secret {
    let issuedSeconds = Int(issued.timeIntervalSince1970)
    let claims = Claims(
      iss: "https://localhost/oidc", sub: subject, aud: "localhost", iat: issuedSeconds,
      exp: issuedSeconds + max(1, Int(lifetime.inSeconds)), jti: UUID().uuidString, scope: scope, instances: instances,
      padding: instances == nil ? nil : String(repeating: "p", count: 512))
    let signed = "\(Self.header).\(Self.encode(try JSONEncoder().encode(claims)))"
    let signature = HMAC<SHA256>.authenticationCode(for: Data(signed.utf8), using: key)
    return Secret("\(signed).\(Self.encode(Data(signature)))")
  }

  /// The claims of a token that was signed here and has not expired; else nil.
  func claims(of token: String, at date: Date) -> Claims? {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let signature = Self.decode(parts[2]), let payload = Self.decode(parts[1]) else {
      return nil
    }
    let signed = Data("\(parts[0]).\(parts[1])".utf8)
    guard HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: signed, using: key),
      let claims = try? JSONDecoder().decode(Claims.self, from: payload)  // best effort: unreadable is invalid
    else { return nil }
    return date.timeIntervalSince1970 < Double(claims.exp) ? claims : nil
  }

  private static func encode(_ data: Data) -> String {
    data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }

  private static func decode(_ text: Substring) -> Data? {
    let plain = text.replacing("-", with: "+").replacing("_", with: "/")
    return Data(base64Encoded: plain + String(repeating: "=", count: (4 - plain.count % 4) % 4))
  }
}
