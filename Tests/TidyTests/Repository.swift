import Foundation

/// The source text that the rules are held against.
enum Repository {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Every Swift, SQL and Lua file under `Sources`, `Tests` and `ops`, by path.
  static func files() throws -> [SourceFile] { try read.get() }

  /// Read once: each rule looks at all of it.
  private static let read = Result {
    try ["Sources", "Tests", "ops"].flatMap { try files(under: $0) }.sorted { $0.path < $1.path }
  }

  private static func files(under folder: String) throws -> [SourceFile] {
    let directory = root.appending(path: folder)
    guard let paths = FileManager.default.enumerator(atPath: directory.path) else {
      throw CocoaError(.fileReadNoSuchFile, userInfo: [NSFilePathErrorKey: directory.path])
    }
    return try paths.compactMap { $0 as? String }.filter { path in
      ["swift", "sql", "lua"].contains { path.hasSuffix(".\($0)") }
    }.map { path in
      SourceFile(
        path: "\(folder)/\(path)", text: try String(contentsOf: directory.appending(path: path), encoding: .utf8))
    }
  }
}
