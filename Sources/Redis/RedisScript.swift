import Platform
import Synchronization

/// A Lua script. The server names it (`SCRIPT LOAD` returns its SHA-1), and the name holds on every server.
package final class RedisScript: Sendable {
  package let name: String
  package let source: String
  private let digest = Mutex<String?>(nil)

  package init(name: String, source: String) {
    self.name = name
    self.source = source
  }

  var knownDigest: String? { digest.withLock { $0 } }

  func remember(digest value: String) { digest.withLock { $0 = value } }
}

extension RedisClient {
  /// Runs a script by its digest; a server that has forgotten it is given it again.
  package func eval(
    _ script: RedisScript, keys: [String], arguments: [String], deadline: Deadline? = nil
  ) async throws(RedisError) -> RedisValue {
    let deadline = deadline ?? .after(configuration.commandTimeout)
    let rest = [String(keys.count)] + keys + arguments
    if let digest = script.knownDigest {
      let reply = try await pipeline([["EVALSHA", digest] + rest], deadline: deadline)[0]
      // NOSCRIPT means that the script did not run, so running it now keeps at most once.
      guard case .error(let error) = reply, error.prefix == "NOSCRIPT" else { return try reply.orThrow() }
    }
    return try await send(["EVALSHA", try await load(script, deadline: deadline)] + rest, deadline: deadline)
  }

  private func load(_ script: RedisScript, deadline: Deadline) async throws(RedisError) -> String {
    do throws(RedisError) {
      let digest = try await send(["SCRIPT", "LOAD", script.source], deadline: deadline).requireText()
      script.remember(digest: digest)
      return digest
    } catch {
      guard case .server = error.code else { throw error }
      throw RedisError(error.code, "script \(script.name): \(error.message)")
    }
  }
}
