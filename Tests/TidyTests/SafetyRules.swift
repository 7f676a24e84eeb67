extension Rule {
  static let safetyRules: [Rule] = [
    Rule(
      name: "an error is dropped only with a reason",
      remedy: "Handle it, or write `// best effort: reason` above",
      broken: SourceFile(path: "Sources/HTTP/A.swift", text: "let a = try? f()\ndo { try f() } catch {}\n"),
      kept: SourceFile(
        path: "Sources/HTTP/A.swift", text: "// best effort: it is a cache\nlet a = try? f()\nlet b = \"try?\""),
      check: { file in
        guard file.isSource, file.isSwift else { return [] }
        let dropped = file.linesOfCode(with: #/\btry\?/#, words: "try?") + emptyCatches(in: file)
        return dropped.filter { !hasReason($0, in: file) }
          .map { Finding(at: $0, "an error is dropped: \(file.lines[$0].trimmed)") }
      }),
    Rule(
      name: "an unstructured task says what it outlives",
      remedy: "Say above it what it must outlive, or make it a child task",
      broken: SourceFile(path: "Sources/HTTP/A.swift", text: "\nTask { await f() }"),
      kept: SourceFile(
        path: "Sources/HTTP/A.swift", text: "// Outlives the caller: others wait too.\nlet task = Task { await f() }"),
      check: { file in
        guard file.isSource, file.isSwift else { return [] }
        return file.linesOfCode(with: #/\bTask(<[^>]*>)?(\.detached)?\s*[({]/#, words: "Task")
          .filter { line in !(max(0, line - 2)...line).contains { !file.comment(at: $0).trimmed.isEmpty } }
          .map { Finding(at: $0, "a task has no comment: \(file.lines[$0].trimmed)") }
      }),
    Rule(
      name: "what the compiler cannot check is proved",
      remedy: "Write the proof above it, and name `@unchecked` or `unsafe` there",
      broken: SourceFile(path: "Sources/HTTP/A.swift", text: "/// A handle.\nfinal class A: @unchecked Sendable {}"),
      kept: SourceFile(
        path: "Sources/HTTP/A.swift",
        text: "/// `@unchecked`: never changes.\n@frozen\nfinal class A: @unchecked Sendable {}"
      ),
      check: { file in
        guard file.isSwift else { return [] }
        return [("@unchecked Sendable", "@unchecked"), ("nonisolated(unsafe)", "unsafe")].flatMap { sign, word in
          file.linesOfCode(holding: [sign]).filter { !file.comment(at: $0).contains(word) }
            .map { Finding(at: $0, "\(sign) without a proof") }
        }
      }),
    Rule(
      name: "tests await events",
      remedy: "Await the event, or write `// no event: reason` above where an outside process gives none",
      broken: SourceFile(path: "Tests/HTTPTests/A.swift", text: "try await Task.sleep(for: .seconds(1))"),
      kept: SourceFile(path: "Tests/HTTPTests/A.swift", text: "f(\"sleep(1)\")\npg_sleep(1)"),
      check: { file in
        guard !file.isSource, file.isSwift else { return [] }
        return file.linesOfCode(with: #/\b(Task\.sleep|usleep|nanosleep|sleep|Thread\.sleep)\s*\(/#, words: "sleep")
          .filter { !file.comment(at: $0).contains("no event:") }
          .map { Finding(at: $0, "a test sleeps: \(file.lines[$0].trimmed)") }
      }),
  ]

  /// The lines on which a `catch` begins that does nothing. One that names the error and has a comment inside is not
  /// meant: it says that this error is no failure here.
  private static func emptyCatches(in file: SourceFile) -> [Int] {
    file.linesOfCode(with: #/\bcatch\b[^{]*\{\s*\}?\s*$/#, words: "catch").filter { line in
      if file.code[line].contains(#/\{\s*\}\s*$/#) { return true }
      let next = file.code[(line + 1)...].firstIndex { !$0.trimmed.isEmpty } ?? line
      guard file.code[next].trimmed.hasPrefix("}") else { return false }
      return file.code[line].contains(#/catch\s*\{/#) || file.comments[line...next].allSatisfy(\.isEmpty)
    }
  }

  /// A reason stands on the line, right above it, or as the first thing in its block.
  private static func hasReason(_ line: Int, in file: SourceFile) -> Bool {
    let below = line + 1 < file.comments.count ? file.comments[line + 1] : ""
    return (file.comment(at: line) + below).contains("best effort:")
  }
}
