import HTTP
import Platform

/// The workspaces that a process talks to, over one HTTP client: each keeps its tokens for as long as its secret stays.
package actor Workspaces {
  private let http: HTTPClient
  private var known: [WorkspaceCredentials: Workspace] = [:]
  /// More than this many are not kept: an old one only loses its tokens.
  private static let limit = 1000
  /// How long one request is repeated; jobs wait longer by being parked.
  private static let retryBudget: Duration = .seconds(20)

  /// - Parameter caFile: certificates to trust beside the system's, in PEM.
  package init(caFile: String?) {
    http = HTTPClient(configuration: HTTPClient.Configuration(caFile: caFile))
  }

  package func workspace(_ credentials: WorkspaceCredentials) -> Workspace {
    if let workspace = known[credentials] { return workspace }
    if known.count >= Self.limit { known.removeAll() }
    let workspace = Workspace(credentials, http: http, retryBudget: Self.retryBudget)
    known[credentials] = workspace
    return workspace
  }
}
