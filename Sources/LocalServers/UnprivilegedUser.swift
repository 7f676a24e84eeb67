import Foundation
import Glibc

/// The user that servers run as when this process is root, which PostgreSQL refuses to run as.
package struct UnprivilegedUser: Sendable, Hashable {
  package let name: String
  package let uid: uid_t
  package let gid: gid_t

  /// `postgres` where that user exists, else `nobody`; nil when this process is not root and changes nothing.
  package static func choose() throws(LocalServersError) -> UnprivilegedUser? {
    guard geteuid() == 0 else { return nil }
    for name in ["postgres", "nobody"] {
      if let user = lookUp(name) { return user }
    }
    throw LocalServersError(
      .notInstalled, "PostgreSQL refuses to run as root and there is no user \"postgres\" or \"nobody\": add one")
  }

  private static func lookUp(_ name: String) -> UnprivilegedUser? {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: bufferSize)
    guard getpwnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
    return UnprivilegedUser(name: name, uid: entry.pw_uid, gid: entry.pw_gid)
  }

  /// More than any line of a password database is long.
  private static let bufferSize = 16_384
}
