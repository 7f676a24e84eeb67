import Foundation
import Logging

/// How a log line looks: `text` for people at a terminal, `json` for whatever collects it.
package enum LogFormat: String, Sendable, CaseIterable { case text, json }

/// Writes each log event as one line, to standard error unless told otherwise.
///
/// Standard output is the answer of a command, so nothing of a log may go there. A line is written in one call, so
/// that lines of several threads never mix.
package struct LineLogHandler: LogHandler {
  package var logLevel: Logger.Level
  package var metadata: Logger.Metadata = [:]
  package var metadataProvider: Logger.MetadataProvider?

  private let label: String
  private let format: LogFormat
  private let write: @Sendable (String) -> Void
  private let now: @Sendable () -> Date

  package init(
    label: String, format: LogFormat, level: Logger.Level,
    now: @escaping @Sendable () -> Date = { Date() },
    write: @escaping @Sendable (String) -> Void = LineLogHandler.standardError
  ) {
    self.label = label
    self.format = format
    self.logLevel = level
    self.now = now
    self.write = write
  }

  /// Makes every logger of this process write this way; to be called once, before the first logger is made.
  package static func bootstrap(format: LogFormat, level: Logger.Level) {
    LoggingSystem.bootstrap { label in LineLogHandler(label: label, format: format, level: level) }
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    let extra = (metadataProvider?.get() ?? [:]).merging(event.metadata ?? [:]) { _, new in new }
    let context = metadata.merging(extra) { _, new in new }
    let time = now().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    switch format {
    case .text: write(text(time: time, level: event.level, message: "\(event.message)", context: context))
    case .json: write(json(time: time, level: event.level, message: "\(event.message)", context: context))
    }
  }

  private func text(time: String, level: Logger.Level, message: String, context: Logger.Metadata) -> String {
    var line = "\(time) \(level.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)) \(label): \(message)"
    for (key, value) in context.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(quotedIfNeeded("\(value)"))" }
    return line.replacing("\n", with: "\\n") + "\n"
  }

  private func quotedIfNeeded(_ value: String) -> String {
    value.contains(where: { $0 == " " || $0 == "\"" }) ? "\"\(value.replacing("\"", with: "\\\""))\"" : value
  }

  private func json(time: String, level: Logger.Level, message: String, context: Logger.Metadata) -> String {
    let line = LogLine(
      time: time, level: level.rawValue, label: label, message: message,
      metadata: context.isEmpty ? nil : context.mapValues { "\($0)" })
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return String(decoding: try encoder.encode(line), as: UTF8.self) + "\n"
    } catch {
      // Strings always encode; should that ever change, a plain line is better than none.
      return text(time: time, level: level, message: message, context: context)
    }
  }

  /// The default destination. Whatever cannot be written there is lost: there is no third place to tell it.
  package static let standardError: @Sendable (String) -> Void = { line in
    FileHandle.standardError.write(Data(line.utf8))
  }
}

private struct LogLine: Encodable {
  let time: String
  let level: String
  let label: String
  let message: String
  let metadata: [String: String]?
}
