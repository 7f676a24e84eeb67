import Foundation
import Testing

@testable import sluice

/// What the README promises to list.
@Suite struct ReadmeTests {
  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private static func readme() throws -> String {
    try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
  }

  @Test func everySettingStandsInItsTableWithItsDefault() throws {
    let rows = try Self.readme().split(separator: "\n").filter { $0.hasPrefix("| `SLUICE_") }
    for key in SettingKey.all {
      let row = rows.first { $0.split(separator: "|").first?.contains("`\(key.variable)`") == true }
      #expect(row != nil, "\(key.variable) is missing")
      // For a list of everything it says so.
      let value = key == .classes ? "all" : key.defaultText.map { "`\($0)`" }
      if let value { #expect(row?.contains(value) == true, "\(key.variable): its default is \(value)") }
    }
  }

  @Test func everyCommandOfOpsStandsInItsTable() throws {
    let readme = try Self.readme()
    let folder = Self.root.appendingPathComponent("ops")
    let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { name in
      let path = folder.appendingPathComponent(name).path
      var isDirectory: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
      return !isDirectory.boolValue && FileManager.default.isExecutableFile(atPath: path)
    }
    #expect(names.contains("test"))
    for name in names { #expect(readme.contains("\n| `ops/\(name)` |"), "ops/\(name) is missing") }
  }
}
