import ArgumentParser
import Foundation
import Platform

struct KeyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "The key that seals stored secrets.",
    discussion: "Example: sluice key generate --file /etc/sluice/secret.key",
    subcommands: [Generate.self])

  struct Generate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Makes a new key, readable by you only; an existing file is never overwritten.",
      discussion: """
        Give the file to every sluice process as SLUICE_SECRET_KEY_FILE, and keep a copy in a safe place: without it \
        the secrets in the metadata database cannot be opened, and have to be registered again.

        Example: sluice key generate --file secret.key
        """)

    @Option(help: .init("Where to write it; without it the key goes to standard output.", valueName: "file"))
    var file: String?

    func run() async throws {
      let text = SealingKey.random().fileText
      guard let file else { return try Output.standardOutput(text) }
      try PrivateFile.create(file, text: text)
      Output.standardError("wrote a new key to \(file); use it with: export SLUICE_SECRET_KEY_FILE=\(file)\n")
    }
  }
}
