extension Rule {
  static let wordRules: [Rule] = [
    Rule(
      name: "folders are named after what lives there",
      remedy: "Name it after the subject",
      broken: SourceFile(path: "Sources/HTTP/Utils/A.swift", text: ""),
      kept: SourceFile(path: "Sources/HTTP/Requests/A.swift", text: ""),
      check: { file in
        let banned = ["Core", "Common", "Utils", "Util", "Models", "Helpers", "New", "Deprecated", "Misc", "Shared"]
        return file.components.dropLast().filter(banned.contains).map { Finding(at: 0, "a folder is named \($0)") }
      }),
    Rule(
      name: "types are named after what they are",
      remedy: "Say what it does or holds",
      broken: SourceFile(path: "Sources/HTTP/A.swift", text: "package final class TransferManager {}"),
      kept: SourceFile(path: "Sources/HTTP/A.swift", text: "let files = FileManager.default // struct AHelper"),
      check: { file in
        declarations(in: file).filter { $0.type.contains(#/(Manager|Helper|Helpers|Util|Utils|Impl)$|^Base[A-Z]/#) }
          .map { Finding(at: $0.line, "a type is named \($0.type)") }
      }),
    Rule(
      name: "no type has its module's name",
      remedy: "The module's name would then mean the type, and nothing else of the module could be named in full",
      broken: SourceFile(path: "Sources/Redis/A.swift", text: "package struct Redis {}"),
      kept: SourceFile(path: "Sources/Redis/A.swift", text: "package struct RedisPool {}"),
      check: { file in
        declarations(in: file).filter { $0.type == file.module }.map {
          Finding(at: $0.line, "a type is named \($0.type)")
        }
      }),
    Rule(
      name: "one concept has one word",
      remedy: "The words are subscription, grantee or role, data source, condition, process, available",
      broken: SourceFile(path: "Sources/Metadata/A.swift", text: "enum JobState { case queued }"),
      kept: SourceFile(path: "Sources/Metadata/A.swift", text: "enum JobState { case available } // not queued"),
      check: { file in
        guard file.isSource else { return [] }
        let types = declarations(in: file).filter {
          $0.type.contains(#/Entitlement|Principal|Dataset|Predicate|Daemon/#)
        }
        let states = file.linesOfCode(with: #/\bcase\s+(queued|pending)\b/#, words: "queued", "pending")
        return types.map { Finding(at: $0.line, "a type is named \($0.type)") }
          + states.map { Finding(at: $0, "a state is named queued or pending") }
      }),
    Rule(
      name: "names are not abbreviated",
      remedy: "Write the word",
      broken: SourceFile(path: "Sources/HTTP/A.swift", text: "let req = 1"),
      kept: SourceFile(path: "Sources/HTTP/A.swift", text: "let request = \"let req = 1\" // let req"),
      check: { file in
        file.linesOfCode(
          with:
            #/\b(let|var|func|case)\s+(conn|ctx|cfg|msg|req|resp|res|stmt|tbl|usr|pwd|tmp|idx|mgr|param|params|args|cmd|cb|fn)\b/#,
          words: "let ", "var ", "func ", "case "
        ).map { Finding(at: $0, file.code[$0].trimmed) }
      }),
    Rule(
      name: "nothing is left for later",
      remedy: "Do it, or leave it out",
      broken: SourceFile(path: "Sources/HTTP/A.swift", text: "f() // " + "TO" + "DO: more"),
      kept: SourceFile(path: "Sources/HTTP/A.swift", text: "let word = \"TO\" + \"DO\""),
      check: { file in
        if file.name.lowercased().hasPrefix("placeholder") { return [Finding(at: 0, "the file holds nothing")] }
        let banned = #/\b(TODO|FIXME|XXX|HACK)\b/#
        let text = file.isSwift ? file.comments : file.lines
        return text.indices(holding: ["TODO", "FIXME", "XXX", "HACK"]).filter { text[$0].contains(banned) }
          .map { Finding(at: $0, text[$0].trimmed) }
      }),
  ]

  private static func declarations(in file: SourceFile) -> [(line: Int, type: String)] {
    let form = #/\b(?:class|struct|enum|actor|protocol|typealias)\s+([A-Z]\w*)/#
    let words = ["class", "struct", "enum", "actor", "protocol", "typealias"]
    return file.linesOfCode(holding: words).compactMap { line in
      guard let found = file.code[line].firstMatch(of: form) else { return nil }
      return (line, String(found.1))
    }
  }
}
