import Glibc

/// A TCP port on 127.0.0.1 that nobody listens on.
package enum LoopbackPort {
  /// Asks the system for one and gives it back at once, so somebody else may take it before it is used:
  /// whoever starts a server on it must be ready to try another.
  package static func free() throws(LocalServersError) -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw failure() }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        bind(descriptor, generic, length) == 0 ? getsockname(descriptor, generic, &length) : -1
      }
    }
    guard code == 0 else { throw failure() }
    return Int(UInt16(bigEndian: address.sin_port))
  }

  private static func failure() -> LocalServersError {
    LocalServersError(.cannotStart, "the system gives no free port on 127.0.0.1: \(String(cString: strerror(errno)))")
  }
}
