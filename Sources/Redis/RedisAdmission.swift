/// What a server is asked right after the login, and whether its answers let it be used.
package struct RedisAdmission: Sendable {
  package let commands: [[String]]
  /// Throws if the server is not to be used: the connection is closed then, and whoever wanted it gets the error.
  package let check: @Sendable ([RedisValue]) throws(RedisError) -> Void

  package init(
    commands: [[String]], check: @escaping @Sendable ([RedisValue]) throws(RedisError) -> Void
  ) {
    self.commands = commands
    self.check = check
  }
}
