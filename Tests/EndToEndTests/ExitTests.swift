import Foundation
import LocalServers
import Platform
import Testing

/// How the process leaves: at that moment threads of libpq, libcurl and the resolver may still be there.
@Suite struct ExitTests {
  private static let limit: Duration = .seconds(30)

  /// OpenSSL's handler frees, without a lock, what a thread that ends at the same moment frees too.
  @Test(arguments: [["config", "show"], ["user", "list"]])
  func noExitHandlerOfALibraryRuns(_ words: [String]) async throws {
    // The loader of glibc tells each initialiser and each finaliser that it calls.
    let environment = Launch.bareEnvironment([
      "LD_DEBUG": "files", "SLUICE_METADATA_URL": "postgres://nobody@127.0.0.1:1/nothing",
    ])
    let run = try await ToolRun.run(
      Launch(DevCluster.executable, words, environment: environment), deadline: .after(Self.limit))
    #expect(run.status == .exited(words[0] == "config" ? 0 : 69), "\(run.output.suffix(500))")
    #expect(run.output.contains("calling init: "))
    #expect(!run.output.contains("calling fini: "))
  }
}
