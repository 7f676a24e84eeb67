/// A lane: a lock domain of a connection. One worker at a time works it.
package struct LaneID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// Ids have at most ten digits, so that lanes sort as text: all of a connection stand together.
  package static let ids: ClosedRange<Int64> = 0...9_999_999_999
  static let length = 21

  /// The connection that parks this lane with its others; 0 for lanes that no connection parks.
  package let connection: Int64
  package let lane: Int64

  package init(connection: Int64, lane: Int64) {
    precondition(Self.ids.contains(connection) && Self.ids.contains(lane), "a lane's ids have at most ten digits")
    self.connection = connection
    self.lane = lane
  }

  /// Reads the text form; nil for anything else.
  package init?(_ text: some StringProtocol) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard text.utf8.count == Self.length, parts.count == 2, parts[0].utf8.count == 10,
      let connection = Int64(parts[0]), let lane = Int64(parts[1]), connection >= 0, lane >= 0
    else { return nil }
    self.init(connection: connection, lane: lane)
  }

  /// The text form, as Redis keeps it: `0000000012.0000000003`.
  package var description: String {
    Self.connectionText(connection) + "." + zeroPadded(lane, width: 10)
  }

  static func connectionText(_ connection: Int64) -> String { zeroPadded(connection, width: 10) }

  package static func < (left: LaneID, right: LaneID) -> Bool {
    (left.connection, left.lane) < (right.connection, right.lane)
  }
}

/// Decimal digits with zeros in front. `String(format:)` takes 2 µs, and there may be a hundred thousand a second.
func zeroPadded(_ number: Int64, width: Int) -> String {
  let digits = String(number)
  return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
}
