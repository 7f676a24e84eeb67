import Platform

/// A password for one instance that is good for about an hour; looked at by the server at login only.
package struct DatabaseCredential: Sendable {
  package let token: Secret
  /// On this machine's monotonic clock.
  package let expires: ContinuousClock.Instant
}
