import Crypto
import Foundation

/// What went wrong with a key file or a sealed value.
package struct SealingError: Error, Sendable, CustomStringConvertible {
  package let description: String
}

/// The key under which secrets are kept in the metadata database: AES-256-GCM, a fresh nonce each time, and the
/// place where the value belongs as authenticated data, so that a sealed value cannot be moved to another row.
package struct SealingKey: Sendable {
  private let key: SymmetricKey

  private init(_ key: SymmetricKey) { self.key = key }

  /// A new random key.
  package static func random() -> SealingKey { SealingKey(SymmetricKey(size: .bits256)) }

  /// Reads a key file: 32 bytes in base64 on one line. A file that others may read is refused.
  package init(file: String) throws {
    guard let data = FileManager.default.contents(atPath: file) else {
      throw SealingError(
        description: "cannot read the key file \(file); make one with: sluice key generate --file \(file)")
    }
    let attributes = try FileManager.default.attributesOfItem(atPath: file)
    if let mode = attributes[.posixPermissions] as? Int, mode & 0o077 != 0 {
      throw SealingError(description: "the key file \(file) may be read by others; run: chmod 600 \(file)")
    }
    let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    guard let bytes = Data(base64Encoded: text), bytes.count == 32 else {
      throw SealingError(description: "\(file) is not a key file: it should hold 32 bytes in base64")
    }
    self.init(SymmetricKey(data: bytes))
  }

  /// The text of a key file.
  package var fileText: String { key.withUnsafeBytes { Data($0).base64EncodedString() } + "\n" }

  /// Seals a secret for the place named by `context` (such as `connection/12/client_secret`).
  package func seal(_ secret: Secret, context: String) throws -> [UInt8] {
    let box = try AES.GCM.seal(Data(secret.reveal().utf8), using: key, authenticating: Data(context.utf8))
    guard let combined = box.combined else { throw SealingError(description: "the nonce has an unusual size") }
    return [UInt8](combined)
  }

  /// Opens what `seal` made for the same context.
  package func open(_ sealed: [UInt8], context: String) throws -> Secret {
    do {
      let box = try AES.GCM.SealedBox(combined: sealed)
      let plain = try AES.GCM.open(box, using: key, authenticating: Data(context.utf8))
      return Secret(String(decoding: plain, as: UTF8.self))
    } catch {
      throw SealingError(
        description: "cannot open the secret of \(context): it was sealed with another key; give the key file it was "
          + "sealed with (SLUICE_SECRET_KEY_FILE), or register the secret again")
    }
  }
}
