import Foundation
import HTTP
import Platform

/// A Databricks workspace as Sluice uses it: credentials for databases, and the state of instances.
///
/// Signing in takes two steps: the client secret buys an access token, the access token a database credential. Both
/// are kept and renewed by one request at a time, whatever the number of callers.
package actor Workspace {
  private let api: WorkspaceAPI
  private let time: WorkspaceTime
  private var credentials: [InstanceReference: RenewedValue<DatabaseCredential>] = [:]

  package init(
    _ credentials: WorkspaceCredentials, http: HTTPClient, time: WorkspaceTime = .system,
    retryBudget: Duration = .seconds(60)
  ) {
    self.time = time
    var limits = RepeatedRequest.Limits()
    limits.budget = retryBudget
    self.api = WorkspaceAPI(credentials, RepeatedRequest(http: http, limits: limits, time: time), time)
  }

  /// A password for the instance, valid for at least some minutes. The user name is the workspace's client id.
  package func databaseCredential(
    for instance: InstanceReference, deadline: Deadline? = nil
  ) async throws(DatabricksError) -> DatabaseCredential {
    try await cell(for: instance).value(deadline: deadline).value
  }

  /// To be called after a login was refused: the next credential is a new one.
  ///
  /// With the credential that was refused, a newer one that somebody else has obtained since is kept.
  package func forgetCredential(for instance: InstanceReference, refused: DatabaseCredential? = nil) async {
    guard let cell = credentials[instance] else { return }
    if let token = refused?.token {
      await cell.forget { $0.token == token }
    } else {
      await cell.forget()
    }
  }

  package func state(
    of instance: InstanceReference, deadline: Deadline? = nil
  ) async throws(DatabricksError) -> InstanceState {
    try await describe(instance, deadline: deadline).state
  }

  /// State, host name and uid of the instance; never cached.
  package func describe(
    _ instance: InstanceReference, deadline: Deadline? = nil
  ) async throws(DatabricksError) -> InstanceDescription {
    let operation = "state of \(instance)"
    switch instance {
    case .provisioned(let name):
      let path = "/api/2.0/database/instances/\(WireFormat.escape(name))"
      let response = try await api.call("GET", path, operation: operation, deadline: deadline)
      return InstanceDescription(try WireFormat.decode(WireFormat.Instance.self, response, operation: operation))
    case .autoscaling(let endpoint):
      let path = "/api/2.0/postgres/\(WireFormat.escape(endpoint, keeping: "/"))"
      let response = try await api.call("GET", path, operation: operation, deadline: deadline)
      return InstanceDescription(try WireFormat.decode(WireFormat.Endpoint.self, response, operation: operation))
    }
  }

  private func cell(for instance: InstanceReference) -> RenewedValue<DatabaseCredential> {
    if let cell = credentials[instance] { return cell }
    let (api, operation) = (api, "credential for \(instance)")
    // Two minutes: the lead of the official JavaScript package.
    let cell = RenewedValue<DatabaseCredential>(
      name: operation, rules: .init(lead: .seconds(120)), time: time
    ) {
      do throws(DatabricksError) { return .success(try await api.mint(for: instance, operation: operation)) } catch {
        return .failure(error)
      }
    }
    credentials[instance] = cell
    return cell
  }
}
