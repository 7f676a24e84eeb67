import Governance

/// A request to let a user read or write a data source, or to stop that.
package struct SubscriptionRequest: Sendable, Hashable {
  package enum Kind: String, Sendable { case subscribe, revoke }

  package var kind: Kind
  package var user: String
  package var path: SecurablePath
  /// Subscribe: the level granted. Revoke: `write` leaves the user with read; nil or `read` takes everything.
  package var access: AccessLevel?
  /// RFC 3339; only for subscribe.
  package var expires: String?
  /// Only for revoke: whether the sessions are ended that the user's role has open in the database, because an open
  /// cursor survives a REVOKE.
  package var endsSessions: Bool

  package init(
    kind: Kind, user: String, path: SecurablePath, access: AccessLevel? = nil, expires: String? = nil,
    endsSessions: Bool = false
  ) {
    self.kind = kind
    self.user = user
    self.path = path
    self.access = access
    self.expires = expires
    self.endsSessions = endsSessions
  }
}

/// A request that names what it is about by number: it has been checked against the metadata database.
package struct ResolvedSubscription: Sendable {
  package let request: SubscriptionRequest
  package let identity: Int64
  package let securable: Int64
  package let lane: Int64
}

/// A subscription as it stands: by hand, or by a policy through an audience.
package struct Subscription: Sendable {
  package let user: String
  package let path: SecurablePath
  package let access: AccessLevel
  /// `manual`, or the names of the policies that admit the user.
  package let origin: String
  package let policies: [String]
  package let expiresAt: String?
  /// The guardrail that keeps a manual subscription from giving access.
  package let barredBy: String?
  package let createdAt: String?
}
