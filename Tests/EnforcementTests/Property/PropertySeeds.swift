import Foundation

/// The seeds that a property is tried with: `SLUICE_PROPERTY_SEEDS=20-60` searches further than every run does.
enum PropertySeeds {
  static let all: [UInt64] = {
    let bounds = (ProcessInfo.processInfo.environment["SLUICE_PROPERTY_SEEDS"] ?? "").split(separator: "-")
      .compactMap { UInt64($0) }
    guard let first = bounds.first, let last = bounds.last, first <= last else { return [1, 2, 3, 4] }
    return Array(first...last)
  }()
}
