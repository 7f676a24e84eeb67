import Foundation
import LocalServers
import Platform
import Testing

/// The benchmark's tool with next to nothing to do: its form, never its figures.
@Suite struct BenchCommandTests {
  /// One line of `--json`.
  private struct Line: Decodable {
    let bench: String
    let `case`: String
    let value: Double
    let unit: String
    let ceiling: Double?
    let ratio: Double?
  }

  private func bench(_ arguments: String...) async throws -> ToolRun {
    let tool = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
      .appendingPathComponent("sluice-bench").path
    return try await ToolRun.run(Launch(tool, ["queue", "--quick"] + arguments), deadline: .after(.seconds(60)))
  }

  private func lines(_ run: ToolRun) throws -> [Line] {
    try run.output.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
  }

  @Test func eachFigureIsAnObjectOnALineOfItsOwn() async throws {
    let run = try await bench("--json", "--only", "queue/lanes=10", "--only", "stats")
    try #require(run.status.isSuccess, "\(run.output)")
    let lines = try lines(run)
    #expect(lines.allSatisfy { $0.bench == "queue" && $0.value > 0 && !$0.unit.isEmpty })
    let both = try #require(lines.first { $0.case == "queue/lanes=10/both" })
    let (ceiling, ratio) = (try #require(both.ceiling), try #require(both.ratio))
    #expect(abs(both.value / ceiling / ratio - 1) < 0.01)
    let stats = lines.filter { $0.case.hasPrefix("stats/") }
    #expect(stats.count == 4 && stats.allSatisfy { $0.ceiling == nil && $0.ratio == nil && $0.unit == "ms" })
  }

  @Test func onlyPrintsNothingElse() async throws {
    let run = try await bench("--json", "--only", "queue/lanes=1/enqueue")
    try #require(run.status.isSuccess, "\(run.output)")
    #expect(try lines(run).map(\.case) == ["queue/lanes=1/enqueue"])
  }

  @Test func aTableHasAlignedColumns() async throws {
    let run = try await bench("--only", "stats")
    try #require(run.status.isSuccess, "\(run.output)")
    let rows = run.output.split(separator: "\n")
    #expect(rows.first?.hasPrefix("case ") == true)
    let columns = rows.map { row in
      (row.range(of: "  ms") ?? row.range(of: "  unit")).map { row[..<$0.lowerBound].count }
    }
    #expect(rows.count == 5 && Set(columns).count == 1, "\(run.output)")
  }

  @Test func anUnknownCaseIsRefused() async throws {
    let run = try await bench("--only", "speed")
    #expect(!run.status.isSuccess)
    #expect(run.output.contains("there is no case speed; see --list"))
  }

  @Test func everyCaseIsListed() async throws {
    let run = try await bench("--list")
    let names = run.output.split(separator: "\n").compactMap { $0.split(separator: ":").first }
    #expect(
      ["queue/lanes=1000", "ledger/lanes=10/workers=2", "latency/ledger", "memory", "stats", "crash"]
        .allSatisfy { name in names.contains { $0 == name } })
  }
}

/// The bench of enforcement, on the built binary with next to nothing to do.
@Suite(.timeLimit(.minutes(2))) struct EnforcementBenchTests {
  private struct Line: Decodable {
    let bench: String
    let `case`: String
    let value: Double
    let ceiling: Double?
  }

  private func figures(_ arguments: String...) async throws -> [String: Line] {
    let tool = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
      .appendingPathComponent("sluice-bench").path
    let run = try await ToolRun.run(
      Launch(tool, ["enforcement", "--quick", "--json"] + arguments), deadline: .after(.seconds(100)))
    try #require(run.status.isSuccess, "\(run.output)")
    let lines = try run.output.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    #expect(lines.allSatisfy { $0.bench == "enforcement" })
    return Dictionary(lines.map { ($0.case, $0) }, uniquingKeysWith: { $1 })
  }

  /// What was sent is repeated by psql, transaction for transaction: the twin's log holds as much of it.
  @Test func policiesAreAppliedAndTheirSQLIsRepeatedByPsql() async throws {
    let figures = try await figures("--only", "apply", "--only", "join", "--only", "verify")
    #expect(figures["apply/failed"]?.value == 0 && figures["join/failed"]?.value == 0)
    let written = try #require(figures["apply/wal"])
    let ceiling = try #require(written.ceiling)
    #expect((0.8...1.2).contains(written.value / ceiling), "\(written.value) MB, by psql \(ceiling) MB")
    #expect(try #require(figures["join/statements"]).value > 0)
    #expect(try #require(figures["verify"]).value > 0)
  }
}
