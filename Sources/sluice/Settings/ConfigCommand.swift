import ArgumentParser

struct ConfigCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "The settings of this installation.",
    discussion: "Example: sluice config show", subcommands: [Show.self])

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prints the effective settings and where each came from; passwords are not shown.",
      discussion: """
        Origins: flag, environment, file, default, or none.

        Example: sluice config show --config /etc/sluice/sluice.yaml -o json
        """)

    @OptionGroup var common: CommonOptions

    func run() async throws {
      let settings = try common.settingOptions.settings()
      let records = settings.values.map { value -> OutputRecord in
        [
          "name": .text(value.key.name), "value": .optional(value.text.map(value.key.redacted)),
          "origin": .text(value.origin?.rawValue ?? "none"), "flag": .text(value.key.flag),
          "variable": .text(value.key.variable), "default": .optional(value.key.defaultText),
          "summary": .text(value.key.summary),
        ]
      }
      try common.output.list(records, columns: ["name", "value", "origin", "variable", "summary"])
    }
  }
}
