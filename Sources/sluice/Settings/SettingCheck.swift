import Console
import Foundation
import Platform
import Postgres
import Redis

/// Whether a text has the form that its setting asks for.
enum SettingCheck {
  /// What is wrong with `text`, or nil. A secret is never part of the answer.
  static func problem(with text: String, for key: SettingKey) -> String? {
    switch key.form {
    case .text: return text.isEmpty ? "is empty" : nil
    case .path: return text.isEmpty ? "is empty; it should name a file" : nil
    case .readableFile:
      return FileManager.default.isReadableFile(atPath: text)
        ? nil : "\"\(text)\" cannot be read; check the path and its permissions"
    case .privateFile: return PrivateFile.problem(text)
    case .secretURL(let schemes): return problem(withURL: text, schemes: schemes)
    case .duration(let range):
      guard let value = DurationText.parse(text) else {
        return "\"\(text)\" is not a duration; write it as 25s, 500ms, 5m or 1h"
      }
      guard !range.contains(value) else { return nil }
      let (least, most) = (DurationText.format(range.lowerBound), DurationText.format(range.upperBound))
      return "\(text) is out of range: \(least) to \(most)"
    case .integer(let range):
      guard let value = Int(text) else { return "\"\(text)\" is not a whole number" }
      return range.contains(value) ? nil : "\(value) is out of range: \(range.lowerBound) to \(range.upperBound)"
    case .choice(let choices):
      return choices.contains(text) ? nil : "\"\(text)\" is not one of \(choices.joined(separator: ", "))"
    case .choices(let choices): return problem(withList: text, choices: choices)
    case .address:
      return ListenAddress(text) == nil ? "\"\(text)\" is not an address; write it as 127.0.0.1:8081 or :8081" : nil
    }
  }

  private static func problem(withURL text: String, schemes: [String]) -> String? {
    let known = schemes.map { "\($0)://" }.joined(separator: " or ")
    guard let colon = text.firstRange(of: "://") else { return "is not a URL; it should begin with \(known)" }
    let scheme = text[..<colon.lowerBound]
    guard schemes.contains(String(scheme)) else { return "the scheme \(scheme):// is not understood; use \(known)" }
    return scheme.hasPrefix("redis") ? problem(withRedisURL: text) : problem(withPostgresURL: text)
  }

  private static func problem(withRedisURL text: String) -> String? {
    do throws(RedisError) { _ = try RedisConfiguration(url: Secret(text)) } catch { return error.message }
    return nil
  }

  private static func problem(withPostgresURL text: String) -> String? {
    do throws(PostgresError) { _ = try PostgresConfiguration(url: Secret(text), applicationName: "sluice") } catch {
      return error.message
    }
    return nil
  }

  private static func problem(withList text: String, choices: [String]) -> String? {
    let items = text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    if items.isEmpty { return "is empty; it should list some of \(choices.joined(separator: ", "))" }
    let unknown = items.filter { !choices.contains($0) }
    return unknown.isEmpty
      ? nil : "\(unknown.map { "\"\($0)\"" }.joined(separator: ", ")) is not one of \(choices.joined(separator: ", "))"
  }
}

extension SettingKey {
  /// `text` as it may be shown: the password of a URL, and whatever follows `password=`, replaced by asterisks.
  func redacted(_ text: String) -> String {
    guard case .secretURL = form else { return text }
    return RedactedURL.redact(text)
  }
}

/// A URL without the secrets in it.
enum RedactedURL {
  static func redact(_ text: String) -> String {
    guard let scheme = text.firstRange(of: "://") else { return "<redacted>" }
    var rest = text[scheme.upperBound...]
    var user = ""
    let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    // A password may hold a raw "/" or "?" by mistake: the last "@" of all ends it, so that no part of it is shown.
    if let at = rest.lastIndex(of: "@"), at >= authority.endIndex || authority.contains("@") {
      let login = rest[..<at]
      user = login.contains(":") ? login.prefix { $0 != ":" } + ":***@" : "\(login)@"
      rest = rest[rest.index(after: at)...]
    }
    return text[..<scheme.upperBound] + user + redactQuery(rest)
  }

  private static func redactQuery(_ text: Substring) -> String {
    guard let question = text.firstIndex(of: "?") else { return String(text) }
    let items = text[text.index(after: question)...].split(separator: "&", omittingEmptySubsequences: false)
    let shown = items.map { item -> String in
      let name = item.prefix { $0 != "=" }
      return name.lowercased().hasSuffix("password") ? name + "=***" : String(item)
    }
    return text[...question] + shown.joined(separator: "&")
  }
}
