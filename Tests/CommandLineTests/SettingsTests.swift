import Foundation
import Testing

@testable import sluice

@Suite struct SettingsTests {
  @Test func flagsWinOverVariablesOverTheFileOverDefaults() throws {
    let key = SettingKey.logLevel
    func settings(_ flag: String?, _ variable: String?, _ file: String?) throws -> Settings {
      try Self.settings(
        flags: flag.map { [key.name: $0] } ?? [:], environment: variable.map { [key.variable: $0] } ?? [:],
        file: file.map { [key.name: $0] } ?? [:])
    }
    #expect(try settings("error", "debug", "trace")[key] == "error")
    #expect(try settings(nil, "debug", "trace")[key] == "debug")
    #expect(try settings(nil, nil, "trace")[key] == "trace")
    #expect(try settings(nil, nil, nil)[key] == "info")
  }

  @Test func everyValueTellsItsOrigin() throws {
    let settings = try Self.settings(
      flags: ["log_level": "error"], environment: ["SLUICE_LEASE_TTL": "9s"], file: ["batch_size": "7"])
    let origins = Dictionary(uniqueKeysWithValues: settings.values.map { ($0.key.name, $0.origin) })
    #expect(origins["log_level"] == .flag)
    #expect(origins["lease_ttl"] == .environment)
    #expect(origins["batch_size"] == .file)
    #expect(origins["concurrency"] == .default)
    #expect(origins["redis_url"] == SettingOrigin?.none)
  }

  @Test func allFaultsAreReportedAtOnce() throws {
    let fault = #expect(throws: SettingsFault.self) {
      _ = try Self.settings(
        flags: ["log_level": "loud"], environment: ["SLUICE_CONCURRENCY": "many"], file: ["lease_ttl": "soon"],
        required: [.metadataURL])
    }
    let text = fault.map(\.description) ?? ""
    #expect(fault?.faults.count == 4)
    for part in ["--log-level", "SLUICE_CONCURRENCY", "lease_ttl", "SLUICE_METADATA_URL", "--metadata-url"] {
      #expect(text.contains(part))
    }
  }

  @Test func faultsInsideURLsAndMissingFilesAreReportedWithTheOthers() throws {
    let fault = #expect(throws: SettingsFault.self) {
      _ = try Self.settings(environment: [
        "SLUICE_METADATA_URL": "postgres://h/d", "SLUICE_REDIS_URL": "redis://h:99999",
        "SLUICE_CA_FILE": "/nowhere/ca.pem",
      ])
    }
    #expect(fault?.faults.count == 3)
    for part in ["names no user", "from 1 to 65535", "/nowhere/ca.pem"] {
      #expect(fault?.description.contains(part) == true)
    }
  }

  @Test func aFaultyURLIsNotQuoted() throws {
    let fault = #expect(throws: SettingsFault.self) {
      _ = try Self.settings(environment: ["SLUICE_REDIS_URL": "http://user:hunter2@host"])
    }
    #expect(fault?.description.contains("hunter2") == false)
  }

  @Test func aKeyFileThatOthersMayReadIsRefused() throws {
    try Self.withFiles(["key": 0o600, "open": 0o644]) { directory in
      #expect(SettingCheck.problem(with: "\(directory)/key", for: .redisKeyFile) == nil)
      let problem = SettingCheck.problem(with: "\(directory)/open", for: .redisKeyFile)
      #expect(problem?.contains("chmod 600") == true)
      #expect(SettingCheck.problem(with: "\(directory)/none", for: .redisKeyFile)?.contains("cannot be read") == true)
    }
  }

  @Test func aCertificateNeedsItsKeyAndTLS() throws {
    try Self.withFiles(["certificate": 0o644, "key": 0o600]) { directory in
      func faults(_ changes: [String: String]) -> [String] {
        do { _ = try Self.settings(environment: changes) } catch { return (error as? SettingsFault)?.faults ?? [] }
        return []
      }
      let certificate = ["SLUICE_REDIS_CERTIFICATE_FILE": "\(directory)/certificate"]
      let both = certificate.merging(["SLUICE_REDIS_KEY_FILE": "\(directory)/key"]) { $1 }
      #expect(faults(certificate).contains { $0.hasPrefix("redis_certificate_file is given alone") })
      let all = faults(both.merging(["SLUICE_REDIS_URL": "redis://h"]) { $1 })
      for part in ["holds no certificate", "holds no private key", "does not use TLS"] {
        #expect(all.contains { $0.contains(part) }, "\(all)")
      }
      #expect(all.allSatisfy { !$0.contains("a secret") })
    }
  }

  /// Files that hold neither a certificate nor a key.
  private static func withFiles(_ modes: [String: Int], _ body: (String) throws -> Void) throws {
    let directory = "/tmp/sluice-settings-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }  // best effort: /tmp
    for (name, mode) in modes {
      let attributes: [FileAttributeKey: Any] = [.posixPermissions: mode]
      #expect(
        FileManager.default.createFile(
          atPath: "\(directory)/\(name)", contents: Data("a secret".utf8), attributes: attributes))
    }
    try body(directory)
  }

  @Test func anEmptyVariableCountsAsUnset() throws {
    #expect(try Self.settings(environment: ["SLUICE_LOG_LEVEL": ""])[.logLevel] == "info")
  }

  @Test func unknownKeysOfAConfigFileAreNamedWithTheirPlace() {
    let file = ConfigFile(text: "log_level: debug\nlog_levle: info\n", path: "s.yaml")
    #expect(file.values == ["log_level": "debug"])
    #expect(file.faults.count == 1)
    #expect(file.faults.first?.hasPrefix("s.yaml:2:1: there is no setting \"log_levle\"") == true)
  }

  @Test func aListInAConfigFileIsAList() throws {
    let file = ConfigFile(text: "classes: [revoke, bulk]", path: "s.yaml")
    #expect(try Self.settings(file: file.values).list(.classes) == ["revoke", "bulk"])
  }

  @Test func brokenYAMLIsToldWithLineAndColumn() {
    let file = ConfigFile(text: "a: [1\nb: 2\n", path: "s.yaml")
    #expect(file.faults.first?.hasPrefix("s.yaml:2:") == true)
  }

  private static func settings(
    flags: [String: String] = [:], environment: [String: String] = [:], file: [String: String] = [:],
    required: [SettingKey] = []
  ) throws -> Settings {
    try Settings(
      sources: SettingSources(flags: flags, environment: environment, file: file), required: required)
  }
}

@Suite struct RedactedURLTests {
  @Test(arguments: [
    ("postgres://a:b@h:1/d", "postgres://a:***@h:1/d"),
    ("postgres://a@h/d", "postgres://a@h/d"),
    ("postgres://h/d", "postgres://h/d"),
    ("redis://:pw@h", "redis://:***@h"),
    ("postgres://a:b/c@h/d", "postgres://a:***@h/d"),
    ("postgres://a:b@c@h/d", "postgres://a:***@h/d"),
    ("postgres:///d?host=/tmp&password=x&user=y", "postgres:///d?host=/tmp&password=***&user=y"),
    (
      "redis+sentinel://a:b@h:1,i:2/main?sentinel_user=u&sentinel_password=x",
      "redis+sentinel://a:***@h:1,i:2/main?sentinel_user=u&sentinel_password=***"
    ),
    ("nonsense hunter2", "<redacted>"),
  ])
  func hidesPasswords(url: String, shown: String) { #expect(RedactedURL.redact(url) == shown) }
}

@Suite struct DurationTextTests {
  @Test(arguments: [
    ("25s", Duration.seconds(25)), ("500ms", .milliseconds(500)), ("1h30m", .seconds(5400)), ("2d", .seconds(172_800)),
    ("7", .seconds(7)), ("0", .zero),
  ])
  func understands(text: String, duration: Duration) { #expect(DurationText.parse(text) == duration) }

  @Test(arguments: ["", "s", "-1s", "1x", "1.5s", "99999999999999999999s", "9999999999d", "٣s"])
  func refuses(text: String) { #expect(DurationText.parse(text) == nil) }

  @Test(arguments: ["25s", "500ms", "90m", "1h", "2d", "0s"])
  func isReadBackAsWritten(text: String) throws {
    #expect(DurationText.format(try #require(DurationText.parse(text))) == text)
  }
}
