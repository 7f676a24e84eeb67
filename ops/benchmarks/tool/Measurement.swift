import Foundation

/// One figure, and beside it the ceiling: what the engines gave a C client that does nothing else, in the same run.
struct Measurement: Sendable {
  /// The case it belongs to, and what of it was measured: `latency/p99`.
  let name: String
  let value: Double
  let unit: String
  let ceiling: Double?

  init(_ name: String, _ value: Double, _ unit: String, ceiling: Double? = nil) {
    self.name = name
    self.value = value
    self.unit = unit
    self.ceiling = ceiling
  }

  var ratio: Double? { ceiling.map { value / $0 } }
}

/// Writes figures as they come: one JSON object a line, or the rows of a table.
struct Report: Sendable {
  let bench: String
  let isJSON: Bool

  private struct Line: Encodable {
    let bench: String
    let `case`: String
    let value: Double
    let unit: String
    let ceiling: Double?
    let ratio: Double?
  }

  func begin() {
    guard !isJSON else { return }
    write(Self.row("case", "value", "unit", "ceiling", "ratio"))
  }

  func add(_ measurement: Measurement) throws {
    guard isJSON else {
      let ceiling = measurement.ceiling.map(Self.text) ?? ""
      let ratio = measurement.ratio.map(Self.text) ?? ""
      return write(Self.row(measurement.name, Self.text(measurement.value), measurement.unit, ceiling, ratio))
    }
    let line = Line(
      bench: bench, case: measurement.name, value: Self.rounded(measurement.value), unit: measurement.unit,
      ceiling: measurement.ceiling.map(Self.rounded), ratio: measurement.ratio.map(Self.rounded))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    write(String(decoding: try encoder.encode(line), as: UTF8.self))
  }

  /// Four digits that count: what a second run could repeat.
  private static func rounded(_ value: Double) -> Double {
    guard value != 0, value.isFinite else { return value }
    let scale = pow(10, 3 - floor(log10(abs(value))))
    return (value * scale).rounded() / scale
  }

  private static func text(_ value: Double) -> String {
    let value = rounded(value)
    return value >= 1000 ? String(Int(value)) : "\(value)"
  }

  private static func row(_ name: String, _ value: String, _ unit: String, _ ceiling: String, _ ratio: String) -> String
  {
    let line = left(name, 46) + right(value, 11) + "  " + left(unit, 14) + right(ceiling, 10) + right(ratio, 9)
    return line.replacing(/\ +$/, with: "")
  }

  private static func left(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
  }

  private static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(1, width - text.count)) + text
  }

  private func write(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}
