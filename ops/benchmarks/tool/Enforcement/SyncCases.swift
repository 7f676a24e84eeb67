import Foundation
import Governance
import LocalServers

/// Reading a large catalog: for the first time, again, and one table of it.
enum SyncCases {
  private static let mostSchemas = 100
  private static let leastOfSchema = 100
  /// As many as a table has on the average.
  private static let columns = 13

  static let all: [BenchCase<EnforcementRun>] = [
    BenchCase(name: "sync", summary: "many relations: first sync, unchanged sync, one table, memory of the worker") {
      run in
      let stage = try await run.newStage()
      let each = max(leastOfSchema, run.scale.relations / mostSchemas)
      for schema in 0..<(run.scale.relations / each) {
        try await stage.target.makeTables((1...each).map { "t\($0)" }, schema: "s\(schema)", columns: columns)
      }
      let first = try await synced([], stage)
      let again = try await synced([], stage)
      let table = try await synced([BenchTarget.database, "s0", "t1"], stage)
      let memory = try stage.workers.map(peakMemory).max() ?? 0
      let (crawl, tokens) = (try await psql(crawlQuery, stage), try await psql(tokenQuery, stage))
      await stage.stop()
      return [
        Measurement("sync/first", first.wall, "s", ceiling: crawl),
        Measurement("sync/first/target", first.target.active / 1e3, "s"),
        Measurement("sync/unchanged", again.wall, "s", ceiling: tokens),
        Measurement("sync/unchanged/target", again.target.active / 1e3, "s"),
        Measurement("sync/table", table.wall, "s"),
        Measurement("sync/table/target", table.target.active / 1e3, "s"),
        Measurement("sync/memory", memory, "MB"),
        Measurement("sync/failed", Double(first.failed + again.failed + table.failed), "jobs"),
      ]
    }
  ]

  private static func synced(_ path: [String], _ stage: EnforcementStage) async throws -> EnforcementStage.Spent {
    try await stage.step { session in
      _ = try await session.submitSync(
        of: try SecurablePath(parts: [EnforcementStage.connectionName] + path), evenInactive: false)
    }
  }

  /// The most that a process ever held, in megabytes. Source: proc(5), `VmHWM`.
  private static func peakMemory(_ process: ManagedProcess) throws -> Double {
    let status = try String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8)
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
      let kilobytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap({ Double($0) })
    else { throw BenchError("/proc/\(process.pid)/status tells no VmHWM") }
    return kilobytes * 1024 / 1e6
  }

  private static func psql(_ query: String, _ stage: EnforcementStage) async throws -> Double {
    let file = "\(stage.directory)/read.sql"
    try "copy (\(query)) to stdout;".write(toFile: file, atomically: false, encoding: .utf8)
    return try await stage.target.psql(file)
  }

  private static let crawlQuery = """
    select c.oid, n.nspname, c.relname, c.relkind, c.relowner::regrole, c.xmin, max(a.xmin::text::bigint),
      array_agg(a.attname order by a.attnum), array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.oid >= 16384 group by c.oid, n.nspname
    """
  private static let tokenQuery = """
    select c.oid, c.xmin, max(a.xmin::text::bigint) from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.oid >= 16384 group by c.oid
    """
}
