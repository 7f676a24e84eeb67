import Foundation
import LocalServers
import Platform

/// Where `sluice dev` keeps everything, and what is in there.
struct DevDirectory: Sendable {
  let root: String

  var redis: String { "\(root)/redis" }
  var metadata: String { "\(root)/metadata" }
  var target: String { "\(root)/target" }
  var workspace: String { "\(root)/workspace" }
  var logs: String { "\(root)/logs" }
  var keyFile: String { "\(root)/secret.key" }
  var environmentFile: String { "\(root)/env" }
  var factsFile: String { "\(root)/demo.json" }
  func secretFile(of name: String) -> String { "\(root)/secrets/\(name)" }

  /// The default place: root's servers run as another user, who may not enter root's home.
  static var standard: String {
    if geteuid() == 0 { return "/var/tmp/sluice-dev" }
    return FileManager.default.homeDirectoryForCurrentUser.appendingPathComponent(".local/state/sluice-dev").path
  }

  /// Makes the directory. Others may pass through (the servers run as another user where this one is root), but only
  /// the owner can list it; what is in there is closed by itself.
  init(_ path: String) throws {
    root = URL(fileURLWithPath: path).standardizedFileURL.path
    do {
      try FileManager.default.createDirectory(
        atPath: root, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
      for directory in ["\(root)/secrets", logs, workspace] {
        try FileManager.default.createDirectory(
          atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      }
    } catch {
      throw CommandFailure.refused("cannot make \(root): \(error.localizedDescription); choose another --state")
    }
  }

  /// Takes the directory for this process until it ends.
  ///
  /// - Returns: the descriptor that holds the lock; the kernel lets go of it when the process ends, however it does.
  func lock() throws -> FileHandle {
    let path = "\(root)/lock"
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw CommandFailure.refused("cannot write \(path): \(String(cString: strerror(errno))); choose another --state")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      throw CommandFailure.refused("another sluice dev works in \(root); stop it, or choose another --state")
    }
    return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
  }

  /// A secret that is made once and kept.
  func secret(of name: String) throws -> Secret {
    let path = secretFile(of: name)
    if let known = FileManager.default.contents(atPath: path), !known.isEmpty {
      return Secret(String(decoding: known, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
    }
    var generator = SystemRandomNumberGenerator()
    let text = (0..<4).map { _ in String(generator.next() as UInt64, radix: 36) }.joined()
    try PrivateFile.create(path, text: text + "\n")
    return Secret(text)
  }

  /// Makes the key file, unless it is there.
  func ensureKey() throws {
    guard !FileManager.default.fileExists(atPath: keyFile) else { return }
    try PrivateFile.create(keyFile, text: SealingKey.random().fileText)
  }

  /// A port that is chosen once and kept, because registered connections and other terminals remember it.
  func port(of name: String) throws -> Int {
    let path = "\(root)/\(name).port"
    if let known = FileManager.default.contents(atPath: path),
      let port = Int(String(decoding: known, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
    {
      return port
    }
    let port = try LoopbackPort.free()
    try PrivateFile.replace(path, text: "\(port)\n")
    return port
  }
}
