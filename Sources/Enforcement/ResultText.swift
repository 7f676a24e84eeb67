import Foundation

/// Results of jobs are JSON in the ledger.
enum ResultText {
  static func json(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do { return String(decoding: try encoder.encode(value), as: UTF8.self) } catch {
      preconditionFailure("texts, numbers and lists always encode: \(error)")
    }
  }
}
