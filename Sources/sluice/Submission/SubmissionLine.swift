import Foundation
import Governance
import Metadata

/// One request of a JSONL file: `{"kind":"subscribe","user":"ana","path":"prod/db/s/t","access":"read"}`.
enum SubmissionLine: Sendable {
  case sync(SecurablePath)
  case subscription(SubscriptionRequest)

  private struct Fields: Decodable {
    var kind: String?
    var user: String?
    var path: String?
    var access: String?
    var expires: String?
    var endsSessions: Bool?

    static let names: Set<String> = ["kind", "user", "path", "access", "expires", "terminate_sessions"]
  }

  /// What is wrong with a line, without its place.
  struct Fault: Error, CustomStringConvertible {
    let description: String
  }

  /// The longest line, in bytes.
  static let limit = 1 << 16

  init(json line: Data) throws(Fault) {
    if line.count > Self.limit { throw Fault(description: "the line is longer than \(Self.limit) bytes") }
    let fields = try Self.decode(line)
    guard let kind = fields.kind else { throw Fault(description: "\"kind\" is missing: sync, subscribe or revoke") }
    guard let path = fields.path else { throw Fault(description: "\"path\" is missing") }
    let securable: SecurablePath
    do { securable = try SecurablePath(path) } catch { throw Fault(description: error.message) }
    switch kind {
    case "sync":
      for (name, value) in [("user", fields.user), ("access", fields.access), ("expires", fields.expires)] {
        if value != nil { throw Fault(description: "a sync has no \"\(name)\"") }
      }
      if fields.endsSessions != nil { throw Fault(description: "a sync has no \"terminate_sessions\"") }
      self = .sync(securable)
    case "subscribe", "revoke":
      self = .subscription(try Self.subscription(kind: kind, path: securable, fields))
    default: throw Fault(description: "\"\(kind)\" is not a kind: sync, subscribe or revoke")
    }
  }

  private static func decode(_ line: Data) throws(Fault) -> Fields {
    let object: [String: Any]
    do {
      guard let parsed = try JSONSerialization.jsonObject(with: line) as? [String: Any] else {
        throw Fault(description: "the line is not a JSON object")
      }
      object = parsed
    } catch let fault as Fault { throw fault } catch { throw Fault(description: "the line is not JSON") }
    let unknown = Set(object.keys).subtracting(Fields.names).sorted()
    guard unknown.isEmpty else {
      throw Fault(description: "there is no field \(unknown.map { "\"\($0)\"" }.joined(separator: ", "))")
    }
    // Of two fields with one name the parser keeps one, and nobody knows which was meant.
    if fieldCount(line) != object.count { throw Fault(description: "a field is given more than once") }
    return Fields(
      kind: try text("kind", object), user: try text("user", object), path: try text("path", object),
      access: try text("access", object), expires: try text("expires", object),
      endsSessions: try truth("terminate_sessions", object))
  }

  /// Colons of the outermost object of valid JSON, which are as many as its fields.
  private static func fieldCount(_ line: Data) -> Int {
    var (count, depth, isText, isEscaped) = (0, 0, false, false)
    for byte in line {
      switch byte {
      case _ where isEscaped: isEscaped = false
      case UInt8(ascii: "\\") where isText: isEscaped = true
      case UInt8(ascii: "\""): isText.toggle()
      case _ where isText: break
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      case UInt8(ascii: ":") where depth == 1: count += 1
      default: break
      }
    }
    return count
  }

  private static func text(_ name: String, _ object: [String: Any]) throws(Fault) -> String? {
    switch object[name] {
    case nil, is NSNull: return nil
    case let text as String: return text
    default: throw Fault(description: "\"\(name)\" should be a string")
    }
  }

  private static func truth(_ name: String, _ object: [String: Any]) throws(Fault) -> Bool? {
    switch object[name] {
    case nil, is NSNull: return nil
    // As a Bool a number would do too.
    case let value as NSNumber where ["c", "B"].contains(String(cString: value.objCType)): return value.boolValue
    default: throw Fault(description: "\"\(name)\" should be true or false")
    }
  }

  private static func subscription(
    kind: String, path: SecurablePath, _ fields: Fields
  ) throws(Fault) -> SubscriptionRequest {
    guard let user = fields.user, !user.isEmpty else { throw Fault(description: "\"user\" is missing") }
    return try request(
      kind: kind == "revoke" ? .revoke : .subscribe, user: user, path: path, access: fields.access,
      expires: fields.expires, endsSessions: fields.endsSessions ?? false)
  }

  /// A request from texts, checked: also what the flags of `submit subscribe` come through.
  static func request(
    kind: SubscriptionRequest.Kind, user: String, path: SecurablePath, access: String?, expires: String?,
    endsSessions: Bool = false
  ) throws(Fault) -> SubscriptionRequest {
    if endsSessions, kind == .subscribe {
      throw Fault(description: "a subscribe has no \"terminate_sessions\": it takes nothing away")
    }
    guard path.level == .table else {
      throw Fault(description: "\(path) is not a data source: it should be connection/database/schema/table")
    }
    let level = try access.map { text throws(Fault) in
      guard let level = AccessLevel(rawValue: text) else {
        throw Fault(description: "\"\(text)\" is not an access level: read or write")
      }
      return level
    }
    if let expires {
      if kind == .revoke { throw Fault(description: "a revoke has no \"expires\": it takes effect at once") }
      let instant: Timestamp
      do { instant = try Timestamp(expires) } catch { throw Fault(description: error.message) }
      if instant <= Timestamp(secondsSinceEpoch: Int64(Date().timeIntervalSince1970)) {
        throw Fault(description: "\(expires) has passed already")
      }
    }
    return SubscriptionRequest(
      kind: kind, user: user, path: path, access: kind == .subscribe ? level ?? .read : level, expires: expires,
      endsSessions: endsSessions)
  }
}
