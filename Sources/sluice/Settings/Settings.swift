import Console
import Foundation
import Logging
import Platform

/// The effective settings of this process, checked, each with its origin.
struct Settings: Sendable {
  struct Value: Sendable {
    let key: SettingKey
    let text: String?
    let origin: SettingOrigin?
  }

  /// Every setting in the order of `SettingKey.all`; those that are set nowhere have no text.
  let values: [Value]

  /// Looks every setting up and checks it.
  ///
  /// - Parameter required: settings without which the command cannot run.
  /// - Throws: `SettingsFault` with everything that is wrong, not only the first.
  init(sources: SettingSources, required: [SettingKey] = [], faults fileFaults: [String] = []) throws {
    var faults = fileFaults
    var faulty: Set<SettingKey> = []
    values = try SettingKey.all.map { key in
      guard let (text, origin) = try sources.lookUp(key) else {
        if required.contains(key) { faults.append(Self.missing(key)) }
        return Value(key: key, text: nil, origin: nil)
      }
      if let problem = SettingCheck.problem(with: text, for: key) {
        faulty.insert(key)
        faults.append("\(Self.place(of: key, origin)): \(problem)")
      }
      return Value(key: key, text: text, origin: origin)
    }
    // Files that cannot be read have been told of.
    if faulty.isDisjoint(with: [.redisCertificateFile, .redisKeyFile]) { faults += redisContradictions }
    if !faults.isEmpty { throw SettingsFault(faults: faults) }
  }

  private static func missing(_ key: SettingKey) -> String {
    "\(key.name) is not set (\(key.summary)); give \(key.flag), \(key.variable), or \(key.name) in the --config file"
  }

  private static func place(of key: SettingKey, _ origin: SettingOrigin) -> String {
    switch origin {
    case .flag: key.flag
    case .environment: key.variable
    case .file, .default: "\(key.name) (\(origin.rawValue))"
    }
  }

  subscript(_ key: SettingKey) -> String? { values.first { $0.key == key }?.text }

  // The checks of `init` make the conversions below total: a value that is there has its form.

  func text(_ key: SettingKey) -> String {
    guard let text = self[key] else { preconditionFailure("the setting \(key.name) was not required") }
    return text
  }

  func secret(_ key: SettingKey) -> Secret { Secret(text(key)) }

  func integer(_ key: SettingKey) -> Int {
    guard let value = Int(text(key)) else { preconditionFailure("the setting \(key.name) was not checked") }
    return value
  }

  func duration(_ key: SettingKey) -> Duration {
    guard let value = DurationText.parse(text(key)) else {
      preconditionFailure("the setting \(key.name) was not checked")
    }
    return value
  }

  func list(_ key: SettingKey) -> [String] {
    text(key).split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
  }

  func address(_ key: SettingKey) -> ListenAddress? { self[key].flatMap(ListenAddress.init) }

  var logLevel: Logger.Level { Logger.Level(rawValue: text(.logLevel)) ?? .info }
  var logFormat: LogFormat {
    if let format = self[.logFormat].flatMap(LogFormat.init(rawValue:)) { return format }
    return isatty(STDERR_FILENO) == 1 ? .text : .json
  }
}

/// Everything that is wrong with the settings, to be mended in one go.
struct SettingsFault: Error, CustomStringConvertible {
  let faults: [String]

  var description: String {
    faults.count == 1
      ? faults[0] : "\(faults.count) faults in the settings:\n" + faults.map { "  \($0)" }.joined(separator: "\n")
  }
}
