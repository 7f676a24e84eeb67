import Foundation

/// SplitMix64: the same numbers for a seed on every machine.
struct Randomness: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }

  /// True once in so many times.
  mutating func once(in times: Int) -> Bool { below(times) == 0 }

  mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

  mutating func some<Element>(_ elements: [Element]) -> [Element] { elements.filter { _ in once(in: 2) } }
}

extension Randomness {
  /// The seeds that a property is tried with: `SLUICE_PROPERTY_SEEDS=20-60` searches further than every run does.
  static let seeds: [UInt64] = {
    let bounds = (ProcessInfo.processInfo.environment["SLUICE_PROPERTY_SEEDS"] ?? "").split(separator: "-")
      .compactMap { UInt64($0) }
    guard let first = bounds.first, let last = bounds.last, first <= last else { return [1, 2, 3, 4] }
    return Array(first...last)
  }()
}
