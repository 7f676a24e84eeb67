import NIOCore
import Testing

@testable import LakebaseStandIn

@Suite struct MessageBoundaryTests {
  /// Three messages of 5, 8 and 6 bytes.
  private static let stream: [UInt8] = [90, 0, 0, 0, 4, 68, 0, 0, 0, 7, 1, 2, 3, 67, 0, 0, 0, 5, 9]
  private static let ends: Set<Int> = [0, 5, 13, 19]

  @Test func boundaryIsSeenHoweverTheStreamIsCut() {
    for cut in 0...Self.stream.count {
      var boundary = MessageBoundary()
      var first = ByteBuffer(bytes: Self.stream[..<cut])
      _ = boundary.advance(over: &first, toFirstBoundary: false)
      #expect(boundary.isBetweenMessages == Self.ends.contains(cut), "cut at \(cut)")
      var rest = ByteBuffer(bytes: Self.stream[cut...])
      _ = boundary.advance(over: &rest, toFirstBoundary: false)
      #expect(boundary.isBetweenMessages, "after the rest of \(cut)")
    }
  }

  @Test func stopsAtTheEndOfTheMessageInProgress() {
    var boundary = MessageBoundary()
    var start = ByteBuffer(bytes: Self.stream[..<7])
    _ = boundary.advance(over: &start, toFirstBoundary: false)
    var rest = ByteBuffer(bytes: Self.stream[7...])
    let passed = boundary.advance(over: &rest, toFirstBoundary: true)
    #expect(Array(passed.readableBytesView) == Array(Self.stream[7..<13]))
    #expect(boundary.isBetweenMessages)
  }
}
