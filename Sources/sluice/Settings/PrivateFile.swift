import Foundation

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

  /// Puts a new content in the place of the old in one step: a reader sees one or the other, never a part.
  static func replace(_ path: String, text: String) throws {
    let draft = "\(path).\(getpid())"
    // best effort: a draft is there only if a process with this number died while it wrote one
    try? FileManager.default.removeItem(atPath: draft)
    try create(draft, text: text)
    guard rename(draft, path) == 0 else {
      throw CommandFailure.refused("cannot write \(path): \(String(cString: strerror(errno)))")
    }
  }

  /// What keeps a file from being a secret that we can read, or nil.
  ///
  /// The owner may read and write it; if that is root, its group may read it too, as with secrets that an orchestrator
  /// mounts. libpq holds key files to the same rule.
  static func problem(_ path: String) -> String? {
    var status = stat()
    guard access(path, R_OK) == 0, stat(path, &status) == 0 else {
      return "\"\(path)\" cannot be read; check the path and its permissions"
    }
    let forbidden: mode_t = status.st_uid == 0 ? 0o037 : 0o077
    guard status.st_mode & forbidden == 0 else {
      return "\"\(path)\" may be read or changed by others; run: chmod 600 \(path)"
    }
    return nil
  }
}
