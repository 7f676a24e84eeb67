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
      guard let file else { return Output.standardOutput(text) }
      try PrivateFile.create(file, text: text)
      Output.standardError("wrote a new key to \(file); use it with: export SLUICE_SECRET_KEY_FILE=\(file)\n")
    }
  }
}

/// Files that only their owner may read.
enum PrivateFile {
  /// Creates `path` with mode 0600. The mode is given on creation, so that there is no moment when others may read.
  ///
  /// - Throws: if the file exists or cannot be made.
  static func create(_ path: String, text: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      let reason = errno == EEXIST ? "it exists already, and is not overwritten" : String(cString: strerror(errno))
      throw CommandFailure.refused("cannot write \(path): \(reason)")
    }
    let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    do {
      try handle.write(contentsOf: Data(text.utf8))
      try handle.synchronize()
    } catch {
      throw CommandFailure.refused("cannot write \(path): \(error.localizedDescription)")
    }
  }
}
