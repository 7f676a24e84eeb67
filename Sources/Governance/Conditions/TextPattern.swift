/// A regular expression as CEL's `matches` takes it: RE2's syntax, found anywhere in the text, in linear time.
///
/// Swift's own `Regex` backtracks (a pattern can cost exponential time, for every user) and compares characters, not
/// code points. This runs all alternatives side by side. Of RE2 it knows literals, `.`, classes with ranges and
/// `\d \w \s`, groups, `|`, `* + ? {n,m}` (lazy ones too, which find the same), `^ $ \A \z \b \B`; flags, Unicode
/// classes, named classes, `\Q`, `\C` and octal escapes are refused.
package struct TextPattern: Sendable {
  /// Steps of the compiled form; counted repetitions multiply it.
  package static let maximumSteps = 4_000
  /// Bytes of a text that is searched; a longer one makes the condition undecided.
  package static let maximumTextLength = 16 * 1024

  enum Step: Sendable {
    case scalar(ScalarSet)
    case either(Int, Int)
    case jump(Int)
    case assert(Assertion)
    case found
  }

  enum Assertion: Sendable { case textStart, textEnd, wordBoundary, noWordBoundary }

  package let source: String
  private let steps: [Step]

  /// - Throws: `invalidPattern` with the construct at fault.
  package init(_ source: String) throws(GovernanceError) {
    var parser = TextPatternParser(source)
    var compilation = Compilation()
    try compilation.add(try parser.parse())
    try compilation.emit(.found)
    self.source = source
    steps = compilation.steps
  }

  /// Whether it matches somewhere in the text.
  package func isFound(in text: String) -> Bool {
    let scalars = Array(text.unicodeScalars)
    var entries: [Int] = []
    for index in 0...scalars.count {
      entries.append(0)
      guard let waiting = reach(from: entries, at: index, of: scalars) else { return true }
      guard index < scalars.count else { break }
      entries = waiting.filter { if case .scalar(let set) = steps[$0] { set.contains(scalars[index]) } else { false } }
        .map { $0 + 1 }
    }
    return false
  }

  /// The steps that wait for a scalar at that place; nil if the end is reached.
  private func reach(from entries: [Int], at index: Int, of scalars: [Unicode.Scalar]) -> [Int]? {
    var seen = [Bool](repeating: false, count: steps.count)
    var (open, waiting) = (entries, [Int]())
    while let step = open.popLast() {
      if seen[step] { continue }
      seen[step] = true
      switch steps[step] {
      case .scalar: waiting.append(step)
      case .either(let first, let second): open += [first, second]
      case .jump(let target): open.append(target)
      case .assert(let assertion): if Self.holds(assertion, at: index, of: scalars) { open.append(step + 1) }
      case .found: return nil
      }
    }
    return waiting
  }

  private static func holds(_ assertion: Assertion, at index: Int, of scalars: [Unicode.Scalar]) -> Bool {
    let before = index > 0 && ScalarSet.word.contains(scalars[index - 1])
    let after = index < scalars.count && ScalarSet.word.contains(scalars[index])
    return switch assertion {
    case .textStart: index == 0
    case .textEnd: index == scalars.count
    case .wordBoundary: before != after
    case .noWordBoundary: before == after
    }
  }
}

extension TextPattern {
  /// Lays a parsed pattern out as steps.
  private struct Compilation {
    var steps: [Step] = []

    mutating func emit(_ step: Step) throws(GovernanceError) {
      guard steps.count < maximumSteps else {
        throw GovernanceError(code: .invalidPattern, message: "the pattern is larger than \(maximumSteps) steps")
      }
      steps.append(step)
    }

    mutating func add(_ node: TextPatternNode) throws(GovernanceError) {
      switch node {
      case .scalar(let set): try emit(.scalar(set))
      case .assertion(let assertion): try emit(.assert(assertion))
      case .sequence(let nodes): for node in nodes { try add(node) }
      case .alternatives(let nodes): try add(alternatives: nodes)
      case .repeated(let node, let least, let most):
        for _ in 0..<least { try add(node) }
        guard let most else { return try addLoop(node) }
        for _ in least..<most { try addOptional(node) }
      }
    }

    private mutating func add(alternatives nodes: [TextPatternNode]) throws(GovernanceError) {
      var exits: [Int] = []
      for (index, node) in nodes.enumerated() {
        let isLast = index == nodes.count - 1
        let fork = steps.count
        if !isLast { try emit(.jump(0)) }
        try add(node)
        guard !isLast else { break }
        exits.append(steps.count)
        try emit(.jump(0))
        steps[fork] = .either(fork + 1, steps.count)
      }
      for exit in exits { steps[exit] = .jump(steps.count) }
    }

    private mutating func addOptional(_ node: TextPatternNode) throws(GovernanceError) {
      let fork = steps.count
      try emit(.jump(0))
      try add(node)
      steps[fork] = .either(fork + 1, steps.count)
    }

    private mutating func addLoop(_ node: TextPatternNode) throws(GovernanceError) {
      let fork = steps.count
      try emit(.jump(0))
      try add(node)
      try emit(.jump(fork))
      steps[fork] = .either(fork + 1, steps.count)
    }
  }
}
