extension Rule {
  private static let maximumSwiftLines = 400
  private static let maximumScriptLines = 60

  static let sizeRules: [Rule] = [
    Rule(
      name: "rooms are small",
      remedy: "Give each type a file of its own",
      broken: SourceFile(path: "Sources/HTTP/A.swift", text: String(repeating: "\n", count: maximumSwiftLines + 1)),
      kept: SourceFile(path: "Sources/HTTP/A.swift", text: String(repeating: "\n", count: maximumSwiftLines)),
      check: { file in
        // A text that ends with a newline has no further line after it.
        let count = file.lines.last == "" ? file.lines.count - 1 : file.lines.count
        guard file.isSwift, count > maximumSwiftLines else { return [] }
        return [Finding(at: maximumSwiftLines, "the file has \(count) lines; \(maximumSwiftLines) are allowed")]
      }),
    Rule(
      name: "scripts are short",
      remedy: "Let the caller do what need not be atomic",
      broken: SourceFile(
        path: "Sources/JobQueue/a.lua", text: "-- a\n" + String(repeating: "x()\n", count: maximumScriptLines + 1)),
      kept: SourceFile(
        path: "Sources/JobQueue/a.lua",
        text: String(repeating: "-- a\n", count: 40) + String(repeating: "x()\n", count: maximumScriptLines)),
      check: { file in
        guard file.path.hasSuffix(".lua") else { return [] }
        let body = file.lines.drop { $0.hasPrefix("--") || $0.trimmed.isEmpty }.filter { !$0.trimmed.isEmpty }
        guard body.count > maximumScriptLines else { return [] }
        let what = "the script has \(body.count) lines below its header; \(maximumScriptLines) are allowed"
        return [Finding(at: file.lines.count - 1, what)]
      }),
  ]
}
