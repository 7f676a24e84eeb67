/// SplitMix64: the same seed gives the same faults and the same requests.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  /// A stream of its own for each part, so that one that draws more does not change the others.
  package init(seed: UInt64, stream: Int) { self.init(seed: seed &* 0xD1B5_4A32_D192_ED03 &+ UInt64(stream)) }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }

  package mutating func duration(_ range: ClosedRange<Double>) -> Duration {
    .seconds(Double.random(in: range, using: &self))
  }
}
