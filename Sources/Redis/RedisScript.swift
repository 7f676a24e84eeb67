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

/// A script with its keys and arguments.
package struct RedisScriptCall: Sendable {
  package let script: RedisScript
  package let keys: [String]
  package let arguments: [String]

  package init(_ script: RedisScript, keys: [String], arguments: [String]) {
    self.script = script
    self.keys = keys
    self.arguments = arguments
  }

  func command(digest: String) -> [String] {
    var command = ["EVALSHA", digest, String(keys.count)]
    command.reserveCapacity(3 + keys.count + arguments.count)
    command.append(contentsOf: keys)
    command.append(contentsOf: arguments)
    return command
  }
}

extension RedisClient {
  /// Runs a script by its digest; a server that has forgotten it is given it again.
  package func eval(
    _ script: RedisScript, keys: [String], arguments: [String], deadline: Deadline? = nil
  ) async throws(RedisError) -> RedisValue {
    let replies = try await eval([RedisScriptCall(script, keys: keys, arguments: arguments)], deadline: deadline)
    return try replies[0].orThrow()
  }

  /// Runs scripts one after another in one write. Error replies are among the values.
  package func eval(
    _ calls: [RedisScriptCall], deadline: Deadline? = nil
  ) async throws(RedisError) -> [RedisValue] {
    let deadline = deadline ?? .after(configuration.commandTimeout)
    var replies = try await pipeline(try await commands(for: calls, deadline), deadline: deadline)
    // NOSCRIPT means that the script did not run, so running it now keeps at most once.
    for (index, call) in calls.enumerated() {
      guard case .error(let error) = replies[index], error.prefix == "NOSCRIPT" else { continue }
      let digest = try await load(call.script, deadline: deadline)
      replies[index] = try await pipeline([call.command(digest: digest)], deadline: deadline)[0]
    }
    return replies
  }

  private func commands(for calls: [RedisScriptCall], _ deadline: Deadline) async throws(RedisError) -> [[String]] {
    var commands: [[String]] = []
    for call in calls {
      var digest = call.script.knownDigest
      if digest == nil { digest = try await load(call.script, deadline: deadline) }
      if let digest { commands.append(call.command(digest: digest)) }
    }
    return commands
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
