import Configuration
import Foundation
import Yams

/// Where a value came from; an earlier one wins over a later one.
enum SettingOrigin: String, Sendable, CaseIterable { case flag, environment, file, `default` }

/// The places that settings are looked up in, from the strongest to the weakest.
struct SettingSources: Sendable {
  private let providers: [(origin: SettingOrigin, provider: any ConfigProvider)]

  /// - Parameters:
  ///   - flags: what was given on the command line, by the name of the setting.
  ///   - environment: the variables of the process; only `SLUICE_…` are looked at.
  ///   - file: what the config file says, by the name of the setting.
  init(flags: [String: String], environment: [String: String], file: [String: String]) {
    let defaults = SettingKey.all.compactMap { key in key.defaultText.map { (key.name, $0) } }
    providers = [
      (.flag, Self.inMemory("flags", flags)),
      (.environment, EnvironmentVariablesProvider(environmentVariables: environment)),
      (.file, Self.inMemory("file", file)),
      (.default, Self.inMemory("defaults", Dictionary(uniqueKeysWithValues: defaults))),
    ]
  }

  /// The value that wins, and where it stands. An empty variable counts as unset, as shells leave it behind.
  func lookUp(_ key: SettingKey) throws -> (text: String, origin: SettingOrigin)? {
    for (origin, provider) in providers {
      let found = try provider.value(forKey: Self.path(key.name), type: .string)
      guard case .string(let text)? = found.value?.content else { continue }
      if origin == .environment && text.isEmpty { continue }
      return (text, origin)
    }
    return nil
  }

  private static func path(_ name: String) -> AbsoluteConfigKey { AbsoluteConfigKey(["sluice", name]) }

  private static func inMemory(_ name: String, _ values: [String: String]) -> InMemoryProvider {
    InMemoryProvider(
      name: name,
      values: Dictionary(
        uniqueKeysWithValues: values.map { (path($0.key), ConfigValue(.string($0.value), isSecret: false)) }))
  }
}

/// A config file: one flat YAML mapping from names of settings to values.
struct ConfigFile: Sendable {
  /// The largest config file that is read, in bytes.
  static let sizeLimit = 1 << 20

  private(set) var values: [String: String] = [:]
  /// What is wrong with the file, each with line and column; the values that are right are kept.
  private(set) var faults: [String] = []

  init(path: String) {
    guard let data = FileManager.default.contents(atPath: path) else {
      faults = ["the config file \(path) cannot be read; check the path and its permissions"]
      return
    }
    guard data.count <= Self.sizeLimit, let text = String(data: data, encoding: .utf8) else {
      faults = ["the config file \(path) is not UTF-8 text of at most \(Self.sizeLimit) bytes"]
      return
    }
    read(text, path: path)
  }

  init(text: String, path: String) { read(text, path: path) }

  private mutating func read(_ text: String, path: String) {
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch {
      faults.append(YAMLFault(error, file: path).description)
      return
    }
    guard let root else { return }
    guard case .mapping(let mapping) = root else {
      faults.append("\(path): a config file is a mapping, such as \"log_level: debug\"")
      return
    }
    for (key, value) in mapping { add(key, value, path: path) }
  }

  private mutating func add(_ key: Node, _ value: Node, path: String) {
    let place = "\(path):\(key.mark?.line ?? 1):\(key.mark?.column ?? 1)"
    guard let name = key.string, SettingKey.all.contains(where: { $0.name == name }) else {
      faults.append("\(place): there is no setting \"\(key.string ?? "?")\"; sluice config show lists them all")
      return
    }
    switch value {
    case .scalar(let scalar): values[name] = scalar.string
    case .sequence(let items): values[name] = items.compactMap(\.string).joined(separator: ",")
    default: faults.append("\(place): the value of \(name) should be a single value")
    }
  }
}
