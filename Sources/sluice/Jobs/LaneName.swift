import Metadata

/// How people write a lane: its number, or its connection with `roles`, `governance` or the name of a database.
extension MetadataSession {
  /// The lane, and its name in full. Of a database that is called `roles` or `governance` only the number tells.
  ///
  /// - Throws: not found, with how lanes are written.
  func lane(named text: String) async throws -> (lane: Lane, name: String) {
    if let number = Int64(text) {
      let lane = try await lane(id: number)
      return (lane, lane.name(on: try await connection(id: lane.connection).name))
    }
    let parts = text.split(separator: "/", maxSplits: 1).map(String.init)
    guard parts.count == 2 else {
      throw CommandFailure.notFound("there is no lane \"\(text)\"; lanes are written as prod/roles, or by number")
    }
    let target = try await connection(named: parts[0])
    let lanes = try await lanes(of: target.id)
    guard let found = lanes.first(where: { ($0.databaseName ?? $0.kind.rawValue) == parts[1] }) else {
      let known = lanes.map { $0.name(on: target.name) }.joined(separator: ", ")
      throw CommandFailure.notFound("connection \(target.name) has no lane \(parts[1]); it has \(known)")
    }
    return (found, found.name(on: target.name))
  }
}

extension Lane {
  /// `prod/roles`, `prod/governance`, or the connection with its database.
  func name(on connection: String) -> String { "\(connection)/\(databaseName ?? kind.rawValue)" }
}

extension LaneBacklog {
  var name: String { "\(connection)/\(database ?? kind.rawValue)" }
}
