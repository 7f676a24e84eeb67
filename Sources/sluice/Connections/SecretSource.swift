import Foundation
import Platform

/// Where a secret comes from: a file, `-` for standard input, or an environment variable. Never an argument, which
/// every process of the machine could read.
enum SecretSource {
  /// The largest secret, in bytes.
  static let sizeLimit = 1 << 16

  /// - Parameters:
  ///   - file: what the flag names, if it was given.
  ///   - flag: what messages call it.
  static func read(file: String?, flag: String, variable: String) throws -> Secret {
    guard let file else {
      if let value = ProcessInfo.processInfo.environment[variable], !value.isEmpty { return Secret(value) }
      throw CommandFailure.wrongUsage("the secret is missing: give \(flag) FILE (- for standard input) or \(variable)")
    }
    let handle: FileHandle
    if file == "-" {
      handle = .standardInput
    } else {
      guard let opened = FileHandle(forReadingAtPath: file) else {
        throw CommandFailure.refused("cannot read \(file) (\(flag)); check the path and its permissions")
      }
      handle = opened
    }
    let place = file == "-" ? "standard input" : file
    let data: Data
    do { data = try handle.read(upToCount: sizeLimit + 1) ?? Data() } catch {
      throw CommandFailure.refused("cannot read \(place) (\(flag)): \(FileFault.reason(of: error))")
    }
    guard data.count <= sizeLimit, let text = String(validating: data, as: UTF8.self) else {
      throw CommandFailure.refused("\(place) (\(flag)) is not a text of at most \(sizeLimit) bytes")
    }
    let secret = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard !secret.isEmpty else { throw CommandFailure.refused("\(place) (\(flag)) is empty") }
    return Secret(secret)
  }
}
