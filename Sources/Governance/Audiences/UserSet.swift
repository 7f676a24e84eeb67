/// A set of users, by their places in a population: a bit each.
struct UserSet: Sendable, Hashable {
  private var words: [UInt64]

  init(count: Int) { words = [UInt64](repeating: 0, count: (count + 63) / 64) }

  mutating func insert(_ place: Int) { words[place / 64] |= 1 << UInt64(place % 64) }
  func contains(_ place: Int) -> Bool { words[place / 64] & (1 << UInt64(place % 64)) != 0 }

  mutating func formUnion(_ other: UserSet) {
    for index in words.indices { words[index] |= other.words[index] }
  }

  mutating func formIntersection(_ other: UserSet) {
    for index in words.indices { words[index] &= other.words[index] }
  }

  /// In ascending order.
  var places: [Int] {
    words.indices.flatMap { index in
      (0..<64).filter { words[index] & (1 << UInt64($0)) != 0 }.map { index * 64 + $0 }
    }
  }
}
