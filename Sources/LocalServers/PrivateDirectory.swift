import Foundation
import Glibc

/// A directory that only the server's user (and root) can enter.
enum PrivateDirectory {
  /// Makes `path` with its parents, gives it to `user` and closes it to everybody else. Existing content stays.
  static func make(_ path: String, for user: UnprivilegedUser?) throws(LocalServersError) {
    do {
      // Parents made here can be passed through but not listed, whatever the umask is.
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
    } catch {
      throw refusal(path, "cannot be made: \(error.localizedDescription)")
    }
    if let user {
      guard chown(path, user.uid, user.gid) == 0 else { throw refusal(path, systemReason("cannot be given away")) }
      try checkReachable(path, by: user)
    }
    guard chmod(path, 0o700) == 0 else { throw refusal(path, systemReason("cannot be closed to others")) }
  }

  /// A directory under `/root`, say, is its user's own and still out of reach, because a parent is closed.
  private static func checkReachable(_ path: String, by user: UnprivilegedUser) throws(LocalServersError) {
    var parent = (path as NSString).deletingLastPathComponent
    while !parent.isEmpty {
      guard mayEnter(parent, user) else {
        throw refusal(path, "is out of reach of user \"\(user.name)\", which may not enter \(parent)")
      }
      if parent == "/" { return }
      parent = (parent as NSString).deletingLastPathComponent
    }
  }

  private static func mayEnter(_ path: String, _ user: UnprivilegedUser) -> Bool {
    var information = stat()
    guard stat(path, &information) == 0 else { return false }
    if information.st_uid == user.uid { return information.st_mode & S_IXUSR != 0 }
    if information.st_gid == user.gid { return information.st_mode & S_IXGRP != 0 }
    return information.st_mode & S_IXOTH != 0
  }

  private static func systemReason(_ what: String) -> String { "\(what): \(String(cString: strerror(errno)))" }

  private static func refusal(_ path: String, _ reason: String) -> LocalServersError {
    LocalServersError(
      .unusableDirectory,
      "directory \(path) \(reason); choose a state directory elsewhere, for example below /tmp or /var/lib")
  }
}
