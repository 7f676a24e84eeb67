/// A securable as the target's catalog knows it. OIDs are unique within the catalog of a family.
package struct SecurableOID: Sendable, Hashable, Comparable, CustomStringConvertible {
  package let family: SecurableFamily
  package let oid: UInt32

  package init(family: SecurableFamily, oid: UInt32) {
    self.family = family
    self.oid = oid
  }

  package init(kind: SecurableKind, oid: UInt32) { self.init(family: kind.family, oid: oid) }

  package var description: String { "\(family) \(oid)" }

  package static func < (left: SecurableOID, right: SecurableOID) -> Bool {
    (left.family, left.oid) < (right.family, right.oid)
  }
}

/// One privilege of one role on one securable.
package struct Grant: Sendable, Hashable, Comparable {
  package let grantee: RoleName
  package let securable: SecurableOID
  package let privilege: Privilege

  package init(grantee: RoleName, securable: SecurableOID, privilege: Privilege) {
    self.grantee = grantee
    self.securable = securable
    self.privilege = privilege
  }

  package static func < (left: Grant, right: Grant) -> Bool {
    (left.securable, left.grantee, left.privilege) < (right.securable, right.grantee, right.privilege)
  }
}
