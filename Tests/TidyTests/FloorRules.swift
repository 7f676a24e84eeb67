extension Rule {
  /// Which of our modules and which packages a module may import: the arrows of the house.
  private static let floors: [String: Set<String>] = [
    "Platform": ["Crypto"],
    "Redis": ["CHiredis", "Platform", "NIOCore", "NIOPosix", "NIOSSL"],
    "Postgres": ["CLibpq", "Platform"],
    "HTTP": ["CLibcurl", "Platform"],
    "Governance": [],
    "Databricks": ["HTTP", "Platform"],
    "JobQueue": ["Redis", "Platform"],
    "Metadata": ["Postgres", "Governance", "Platform"],
    "Enforcement": ["Governance", "Databricks", "Metadata", "Postgres", "Platform"],
    "Cluster": ["JobQueue", "Metadata", "Enforcement", "Databricks", "Platform", "ServiceLifecycle"],
    "Console": ["JobQueue", "Metadata", "Platform", "ServiceLifecycle", "Hummingbird"],
    "LocalServers": ["Platform"],
    "LakebaseStandIn": [
      "Postgres", "Platform", "NIOCore", "NIOPosix", "NIOSSL", "NIOTLS", "Hummingbird", "HummingbirdTLS", "Crypto",
      "ServiceLifecycle",
    ],
  ]

  /// What the composition root may import besides every module of ours.
  private static let compositionRoot: Set<String> = [
    "ArgumentParser", "Configuration", "Yams", "ServiceLifecycle", "Crypto",
  ]

  /// The system, and the ways to tell about oneself: open to all floors but Governance, which is pure.
  private static let everywhere: Set<String> = [
    "Foundation", "FoundationEssentials", "Glibc", "Synchronization", "Dispatch", "Logging", "Metrics",
  ]

  static let floorRules: [Rule] = [
    Rule(
      name: "imports go down the floors",
      remedy: "Move the code to the floor that may, or pass in what it needs",
      broken: SourceFile(path: "Sources/Governance/A.swift", text: "import Foundation"),
      kept: SourceFile(path: "Sources/Metadata/A.swift", text: "import Foundation\nimport Governance"),
      check: { file in
        guard let module = file.module else { return [] }
        return imports(of: file).filter { !isOpen($0.module, to: module) }
          .map { Finding(at: $0.line, "\(module) imports \($0.module)") }
      }),
    Rule(
      name: "C stays inside its driver",
      remedy: "Write `internal import`",
      broken: SourceFile(path: "Sources/Postgres/A.swift", text: "import CLibpq"),
      kept: SourceFile(path: "Sources/Postgres/A.swift", text: "internal import CLibpq"),
      check: { file in
        imports(of: file).filter { ["CLibpq", "CHiredis", "CLibcurl"].contains($0.module) && !$0.isInternal }
          .map { Finding(at: $0.line, "\($0.module) is visible to other modules") }
      }),
  ]

  private static func isOpen(_ imported: String, to module: String) -> Bool {
    if module == "sluice" {
      return floors[imported] != nil || everywhere.contains(imported) || compositionRoot.contains(imported)
    }
    guard let allowed = floors[module] else { return false }
    return allowed.contains(imported) || (module != "Governance" && everywhere.contains(imported))
  }

  private static func imports(of file: SourceFile) -> [(line: Int, module: String, isInternal: Bool)] {
    let form = #/^\s*(?:@\w+\s+)*(internal |package |public |private |fileprivate )?import\s+(?:\w+\s+(?=\w))?(\w+)/#
    return file.linesOfCode(holding: ["import"]).compactMap { line in
      guard let found = file.code[line].firstMatch(of: form) else { return nil }
      return (line, String(found.2), found.1 == "internal ")
    }
  }
}
