import Foundation

/// The address of a server, or of several that stand for one: `scheme://user:password@host:port,host:port/path?name=value`.
///
/// Foundation's parser knows one host only. All parts are percent-decoded; an IPv6 address stands in brackets.
package struct ServerURL: Sendable {
  package struct Host: Sendable, Hashable {
    package let name: String
    package let port: Int?
  }

  /// What is wrong, as the end of a sentence that begins with "the URL cannot be used:". It never quotes the URL, which
  /// may hold a password.
  package struct Fault: Error, Sendable, CustomStringConvertible {
    package let description: String
  }

  /// More hosts than anybody runs; each costs a share of the time to connect.
  package static let mostHosts = 32

  package let scheme: String
  package private(set) var user: String?
  package private(set) var password: Secret?
  /// Empty if the URL names none.
  package private(set) var hosts: [Host] = []
  /// Without the slash in front.
  package let path: String
  package private(set) var parameters: [String: String] = [:]

  package init(_ url: Secret) throws(Fault) {
    let text = url.reveal()
    guard let colon = text.firstRange(of: "://") else { throw Fault(description: "it has no scheme") }
    scheme = text[..<colon.lowerBound].lowercased()
    let rest = text[colon.upperBound...]
    let authority = rest.prefix { $0 != "/" && $0 != "?" }
    let tail = rest[authority.endIndex...]
    let path = tail.prefix { $0 != "?" }
    self.path = try Self.decoded(path.dropFirst(), "path")
    var location = authority
    if let at = authority.lastIndex(of: "@") {
      try readCredentials(authority[..<at])
      location = authority[authority.index(after: at)...]
    }
    if !location.isEmpty { try readHosts(location) }
    try readParameters(tail[path.endIndex...].dropFirst())
  }

  /// Reads a parameter and forgets it; what is left in the end is not known.
  package mutating func take(_ name: String) -> String? { parameters.removeValue(forKey: name) }

  private mutating func readCredentials(_ text: Substring) throws(Fault) {
    let sides = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    if !sides[0].isEmpty { user = try Self.decoded(sides[0], "user") }
    if sides.count == 2, !sides[1].isEmpty { password = Secret(try Self.decoded(sides[1], "password")) }
  }

  private mutating func readHosts(_ text: Substring) throws(Fault) {
    for item in text.split(separator: ",", omittingEmptySubsequences: false) { hosts.append(try Self.host(item)) }
    guard hosts.count <= Self.mostHosts else {
      throw Fault(description: "it names \(hosts.count) hosts, and \(Self.mostHosts) are the most")
    }
  }

  private static func host(_ text: Substring) throws(Fault) -> Host {
    var name = text.prefix { $0 != ":" }
    if text.hasPrefix("["), let end = text.firstIndex(of: "]") { name = text[...end] }
    let rest = text[name.endIndex...]
    let bare = name.hasPrefix("[") ? name.dropFirst().dropLast() : name
    guard rest.isEmpty || rest.hasPrefix(":") else { throw Fault(description: "one of its hosts cannot be read") }
    return Host(name: try decoded(bare, "host"), port: rest.count > 1 ? try port(rest.dropFirst()) : nil)
  }

  /// A TCP port out of its digits.
  package static func port(_ text: some StringProtocol) throws(Fault) -> Int {
    guard let number = Int(text), (1...65535).contains(number) else {
      throw Fault(description: "its port is not a number from 1 to 65535")
    }
    return number
  }

  private mutating func readParameters(_ query: Substring) throws(Fault) {
    for pair in query.split(separator: "&") {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = try Self.decoded(sides[0], "parameter")
      parameters[name] = try Self.decoded(sides.count == 2 ? sides[1] : "", name)
    }
  }

  private static func decoded(_ text: Substring, _ part: String) throws(Fault) -> String {
    guard let plain = String(text).removingPercentEncoding else {
      throw Fault(description: "its \(part) has a broken percent escape")
    }
    return plain
  }
}
