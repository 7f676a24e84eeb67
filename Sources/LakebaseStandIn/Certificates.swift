import Foundation

/// The certificate authority of the stand-in and a certificate for all of its host names, made with the `openssl`
/// command.
struct Certificates: Sendable {
  let caFile: String
  let certificateFile: String
  let keyFile: String

  private static let tool = "/usr/bin/openssl"
  private static let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

  /// Keeps an authority that is there, because other programs may have been given its file.
  static func prepare(in directory: String, hosts: [String]) async throws -> Certificates {
    let path = { (name: String) in directory + "/" + name }
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    if !FileManager.default.fileExists(atPath: path("ca.pem")) {
      try await openssl(
        ["req", "-x509"] + curve + [
          "-keyout", path("ca.key"), "-out", path("ca.pem"), "-days", "3650", "-subj",
          "/CN=Lakebase stand-in authority",
          "-addext", "keyUsage=critical,keyCertSign",
        ])
    }
    let names = (["localhost"] + hosts).map { "DNS:\($0)" } + ["IP:127.0.0.1"]
    try "subjectAltName=\(names.joined(separator: ","))\nextendedKeyUsage=serverAuth\n".write(
      toFile: path("server.extensions"), atomically: true, encoding: .utf8)
    try await openssl(
      ["req"] + curve + ["-keyout", path("server.key"), "-out", path("server.request"), "-subj", "/CN=localhost"])
    try await openssl([
      "x509", "-req", "-in", path("server.request"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial",
      "-days", "825", "-extfile", path("server.extensions"), "-out", path("server.pem"),
    ])
    for key in ["ca.key", "server.key"] {
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path(key))
    }
    return Certificates(caFile: path("ca.pem"), certificateFile: path("server.pem"), keyFile: path("server.key"))
  }

  private static func openssl(_ arguments: [String]) async throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: tool)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    let status: Int32 = try await withCheckedThrowingContinuation { continuation in
      process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
      do { try process.run() } catch { continuation.resume(throwing: error) }
    }
    guard status == 0 else {
      throw StandInError(
        code: .certificates, message: "\(tool) \(arguments[0]) ended with status \(status); install openssl 3")
    }
  }
}
