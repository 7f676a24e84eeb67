import Foundation
import LakebaseStandIn
import LocalServers

/// What scripts and other terminals need to know about a running `sluice dev`.
struct DevFacts: Encodable, Sendable {
  struct Identity: Encodable, Sendable { let secretFile: String }
  struct Processes: Encodable, Sendable {
    let scheduler: Int32?
    let workers: [Int32]
    let redis: Int32?
    /// The server of the Lakebase instance.
    let postgres: Int32?
    let metadata: Int32?
  }

  /// The name under which `--demo` registers the instance; null without it.
  let connection: String?
  let host: String
  let port: Int
  let database: String
  let workspaceURL: String
  let instance: String
  let caFile: String
  let clientID: String
  let clientSecretFile: String
  /// The directory of the real server's socket, past the gateway.
  let adminSocket: String
  let adminUser: String
  let identities: [String: Identity]
  let pids: Processes

  init(
    servers: DevServers, directory: DevDirectory, connection: String?, children: [String: Int32], workers: Int
  ) async {
    self.connection = connection
    host = servers.instance.databaseHost
    port = servers.workspace.gatewayPort
    database = Bootstrap.database
    workspaceURL = servers.workspace.workspaceURL
    instance = servers.instance.name
    caFile = servers.workspace.caFile
    clientID = DevServers.clientID
    clientSecretFile = directory.secretFile(of: DevServers.clientID)
    adminSocket = servers.target.socketDirectory
    adminUser = DevServers.superuser
    identities = Dictionary(
      uniqueKeysWithValues: DevServers.people.map { ($0, Identity(secretFile: directory.secretFile(of: $0))) })
    pids = Processes(
      scheduler: children["scheduler"], workers: (1...workers).compactMap { children[DevProcesses.workerName($0)] },
      redis: await servers.redis.pid, postgres: await servers.target.pid, metadata: await servers.metadata.pid)
  }

  func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try PrivateFile.replace(path, text: String(decoding: try encoder.encode(self), as: UTF8.self) + "\n")
  }
}
