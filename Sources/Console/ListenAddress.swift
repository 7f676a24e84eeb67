/// Where a process listens: `host:port`, `[v6]:port`, or a port alone, which means loopback.
///
/// Nothing listens beyond this machine unless somebody has named a wider address.
package struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
  package let host: String
  package let port: Int

  package init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// Nil if `text` is not an address; a port is 0 (any free one) to 65535.
  package init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":") else {
      guard let port = Self.port(text[...]) else { return nil }
      self.init(host: "127.0.0.1", port: port)
      return
    }
    guard let port = Self.port(text[text.index(after: colon)...]) else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    self.init(host: host.isEmpty ? "127.0.0.1" : String(host), port: port)
  }

  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  private static func port(_ text: Substring) -> Int? {
    guard let port = Int(text), (0...65535).contains(port) else { return nil }
    return port
  }
}
