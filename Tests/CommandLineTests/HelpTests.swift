import ArgumentParser
import Testing

@testable import sluice

@Suite struct HelpTests {
  private static func all(_ command: any ParsableCommand.Type = Sluice.self) -> [any ParsableCommand.Type] {
    let configuration = command.configuration
    let below = configuration.subcommands + configuration.groupedSubcommands.flatMap(\.subcommands)
    return [command] + below.flatMap { all($0) }
  }

  @Test func everyCommandSaysWhatItDoesAndHasAnExample() {
    for command in Self.all() {
      let configuration = command.configuration
      #expect(!configuration.abstract.isEmpty, "\(command) has no abstract")
      #expect(configuration.discussion.contains("sluice "), "\(command) has no example")
    }
  }

  private static func paths(
    _ command: any ParsableCommand.Type = Sluice.self, _ path: [String] = []
  ) -> [[String]] {
    let configuration = command.configuration
    let below = configuration.subcommands + configuration.groupedSubcommands.flatMap(\.subcommands)
    return [path] + below.flatMap { paths($0, path + [$0._commandName]) }
  }

  @Test(arguments: paths()) func helpOfEveryCommandIsAnAnswerAndNoFailure(path: [String]) throws {
    for words in [path + ["--help"], path + ["-h"], ["help"] + path] {
      let error = #expect(throws: (any Error).self) {
        var command = try Sluice.parseAsRoot(HelpWords.understood(words))
        try command.run()
      }
      let exit = error.map { Sluice.exitCode(for: $0) }
      #expect(exit == .success, "\(words)")
    }
  }

  @Test func helpWithinAGroupIsHelp() {
    #expect(HelpWords.understood(["connection", "help"]) == ["connection", "--help"])
    #expect(HelpWords.understood(["group", "help", "member", "add"]) == ["group", "member", "add", "--help"])
    #expect(HelpWords.understood(["user", "add", "help"]) == ["user", "add", "help"])
  }

  @Test func aNegativeNumberIsNoOption() {
    #expect(HelpWords.negative(["job", "list", "--limit", "-1"]) == "-1")
    #expect(HelpWords.negative(["job", "show", "-1.5"]) == "-1.5")
    #expect(HelpWords.negative(["doctor", "-o", "json", "--", "-1"]) == nil)
  }

  @Test func anUnknownOptionWithAnHIsNoCallForHelp() {
    #expect(HelpWords.misspelled(["user", "add", "-dash"]) == "-dash")
    #expect(HelpWords.misspelled(["user", "add", "--", "-dash"]) == nil)
    #expect(HelpWords.misspelled(["user", "add", "-h", "--help", "-"]) == nil)
  }

  @Test(arguments: [
    "migrate --check", "scheduler --health :0", "worker --concurrency 2 --classes revoke", "key generate --file f",
    "config show", "tree prod --depth 1", "enable prod/d", "disable prod/d/s", "inherit prod/d/s/t",
    "connection register p --host h --database d --workspace-url u --client-id c --client-secret-file f --instance i",
    "connection register p --kind postgres --host h --database d --user u --password-file f --dry-run",
    "connection list", "connection show p", "connection check p", "connection update p --sync-every 1h",
    "connection update p --role-budget 0",
    "connection activate p", "connection deactivate p", "connection delete p --force",
    "user add ana --email e --role r --attribute k=v", "user list", "user show ana", "user remove ana",
    "user map ana prod r", "user map ana prod --none", "user map ana prod --unset",
    "group add g", "group remove g", "group list", "group show g", "group member add g a b",
    "group member remove g a", "attribute set ana k=v", "attribute unset ana k",
    "policy apply -f d --prune --dry-run", "policy list", "policy show p", "policy delete p",
    "submit sync prod --inactive --wait --timeout 5", "submit subscribe --user a --path c/d/s/t --access write",
    "submit revoke --user a --path c/d/s/t --wait", "submit --from-file f.jsonl", "subscription list --user a",
    "job list --state discarded --lane 1 --kind sync --after 7", "job show 1", "job wait 1 --timeout 3", "job retry 1",
    "job cancel 1", "queue stats --by lane -o json", "plan prod", "explain ana c/d/s/t",
    "dev --state d --workers 3 --demo", "dead list --lane prod/roles --limit 5 --after 17", "dead retry 1",
    "dead retry --all --lane 3", "dead discard 1 --reason gone", "dead discard --all --lane prod/roles --reason gone",
    "doctor -o json", "doctor --quiet",
    "queue pause", "queue resume --lane prod/roles", "queue tune --lane 3 --weight 2", "worker list -o json",
    "queue tune --connection prod --weight 2 --max-lanes 4", "queue tune --all --max-lanes 8",
    "queue tune --connection prod --max-lanes default", "queue stats --by lane --limit 5 --after prod/roles",
  ])
  func theContractIsUnderstood(line: String) throws {
    _ = try Sluice.parseAsRoot(line.split(separator: " ").map(String.init))
  }

  @Test(arguments: [
    "user map ana prod", "user map ana prod r --none", "connection register p --host h --database d",
    "submit subscribe --user a --path c//s/t", "submit sync prod --timeout 5", "dev --workers 0", "job show x",
    "attribute set ana novalue", "connection update p", "connection update p --user u --client-id c",
    "connection update p --role-budget 100001",
    "queue tune --weight 2", "queue tune --lane 1 --all --weight 2", "queue tune --lane 1 --max-lanes 2",
    "queue tune --all --weight 2", "queue tune --all --max-lanes default", "queue tune --lane 1 --weight 0",
    "queue tune --connection p", "queue tune --connection p --max-lanes 0", "queue stats --by kind --limit 3",
    "submit --from-file f sync prod", "submit sync --from-file f prod",
    "submit --from-file f subscribe --user a --path c/d/s/t", "submit --from-file f revoke --user a --path c/d/s/t",
    "dead retry", "dead retry 1 --all", "dead retry 1 --lane 2", "dead list --limit 0", "dead discard",
    "dead discard 1 --all",
    "dead discard 1 --lane 3",
  ])
  func wrongUsageIsRefused(line: String) {
    #expect(throws: (any Error).self) { _ = try Sluice.parseAsRoot(line.split(separator: " ").map(String.init)) }
  }
}
