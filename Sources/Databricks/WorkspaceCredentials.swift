import Platform

/// How Sluice signs in to a Databricks workspace: a service principal and one of its OAuth secrets.
package struct WorkspaceCredentials: Sendable, Hashable {
  /// `https://host`, without a path; `http` is for tests.
  package let url: String
  /// The service principal's application id; also its user name in the database.
  package let clientID: String
  package let clientSecret: Secret

  package init(url: String, clientID: String, clientSecret: Secret) {
    var url = url
    while url.hasSuffix("/") { url.removeLast() }
    self.url = url
    self.clientID = clientID
    self.clientSecret = clientSecret
  }
}
