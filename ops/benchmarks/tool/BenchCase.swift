import Foundation

/// Something that can be measured by itself. Its figures bear its name and say what they are: `latency/p99`.
struct BenchCase<Run: Sendable>: Sendable {
  let name: String
  let summary: String
  let measure: @Sendable (Run) async throws -> [Measurement]
}

/// Why a benchmark has no figures.
struct BenchError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// What `--only` names: cases, groups of cases (`drain`), or single figures.
struct Selection: Sendable {
  let names: [String]

  func contains(case name: String) -> Bool {
    names.isEmpty || names.contains { Self.isPart(name, of: $0) || Self.isPart($0, of: name) }
  }

  func contains(figure name: String) -> Bool {
    names.isEmpty || names.contains { Self.isPart(name, of: $0) }
  }

  private static func isPart(_ name: String, of group: String) -> Bool {
    name == group || name.hasPrefix(group + "/")
  }
}

/// The middle of several runs.
func median(_ values: [Double]) -> Double { percentile(0.5, of: values) }

/// The value that a share of all values does not exceed.
func percentile(_ share: Double, of values: [Double]) -> Double {
  precondition(!values.isEmpty, "nothing was measured")
  let sorted = values.sorted()
  return sorted[min(sorted.count - 1, max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1))]
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
