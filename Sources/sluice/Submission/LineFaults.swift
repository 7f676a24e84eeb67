/// What is wrong with the lines of a file: the first few are told, all are counted.
struct LineFaults: Sendable {
  /// Faulty lines that are told.
  static let limit = 20

  private var texts: [Int: String] = [:]
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  mutating func add(_ number: Int, _ text: String) {
    count += 1
    texts[number] = text
    // Lines may come in any order within a batch; the first of the file are kept.
    if texts.count > Self.limit, let last = texts.keys.max() { texts[last] = nil }
  }

  func failure(in file: String) -> CommandFailure {
    let told = texts.sorted { $0.key < $1.key }.map { "\(file):\($0.key): \($0.value)" }
    let more = count > told.count ? ["and \(count - told.count) more faulty lines"] : []
    return .refused((told + more + ["nothing was submitted"]).joined(separator: "\n"))
  }
}
