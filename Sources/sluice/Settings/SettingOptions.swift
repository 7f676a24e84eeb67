import ArgumentParser
import Foundation
import Platform

/// The settings that every command takes as flags; a flag wins over its variable, that over the config file.
struct SettingOptions: ParsableArguments {
  @Option(help: .init("YAML file of settings.", valueName: "file"))
  var config: String?
  @Option(
    help: .init(
      "The metadata database (SLUICE_METADATA_URL; better there, as it holds a password).",
      valueName: "url"))
  var metadataUrl: String?
  @Option(help: .init("The Redis that holds the queue (SLUICE_REDIS_URL).", valueName: "url"))
  var redisUrl: String?
  @Option(help: .init("Certificate for a Redis that asks for one (SLUICE_REDIS_CERTIFICATE_FILE).", valueName: "file"))
  var redisCertificateFile: String?
  @Option(help: .init("The key of that certificate (SLUICE_REDIS_KEY_FILE).", valueName: "file"))
  var redisKeyFile: String?
  @Option(help: .init("The key that seals stored secrets (SLUICE_SECRET_KEY_FILE).", valueName: "file"))
  var secretKeyFile: String?
  @Option(help: .init("PEM file of certificate authorities to trust (SLUICE_CA_FILE).", valueName: "file"))
  var caFile: String?
  @Option(
    help: .init(
      "trace, debug, info, notice, warning, error or critical (SLUICE_LOG_LEVEL).",
      valueName: "level"))
  var logLevel: String?
  @Option(help: .init("text or json (SLUICE_LOG_FORMAT).", valueName: "format"))
  var logFormat: String?

  /// The effective settings, checked.
  ///
  /// - Parameters:
  ///   - required: settings without which the command cannot run.
  ///   - extra: flags that only this command has.
  func settings(requiring required: [SettingKey] = [], extra: [SettingKey: String?] = [:]) throws -> Settings {
    let file = config.map(ConfigFile.init(path:))
    let sources = SettingSources(
      flags: flags(extra), environment: ProcessInfo.processInfo.environment, file: file?.values ?? [:])
    return try Settings(sources: sources, required: required, faults: file?.faults ?? [])
  }

  private func flags(_ extra: [SettingKey: String?]) -> [String: String] {
    let common: [SettingKey: String?] = [
      .metadataURL: metadataUrl, .redisURL: redisUrl, .redisCertificateFile: redisCertificateFile,
      .redisKeyFile: redisKeyFile, .secretKeyFile: secretKeyFile, .caFile: caFile, .logLevel: logLevel,
      .logFormat: logFormat,
    ]
    let given = common.merging(extra) { _, new in new }.compactMap { key, text in text.map { (key.name, $0) } }
    return Dictionary(uniqueKeysWithValues: given)
  }
}
