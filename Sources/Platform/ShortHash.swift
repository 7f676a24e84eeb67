import Crypto

/// A short name for a long text, for identifiers with a length limit.
package enum ShortHash {
  private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567")

  /// The first 65 bits of the text's SHA-256 in base32: 13 characters, a collision among a million names has a
  /// probability of about 10^-8.
  package static func base32(of text: String) -> String {
    var bits = 0
    var value = 0
    var characters: [Character] = []
    for byte in SHA256.hash(data: Array(text.utf8)) {
      value = value << 8 | Int(byte)
      bits += 8
      while bits >= 5 && characters.count < 13 {
        bits -= 5
        characters.append(alphabet[value >> bits & 31])
      }
      value &= (1 << bits) - 1
      if characters.count == 13 { break }
    }
    return String(characters)
  }
}
