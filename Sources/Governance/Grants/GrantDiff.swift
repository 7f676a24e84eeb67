/// What turns the observed grants into the desired ones. Revokes come first, so that a half-done batch has given less.
package struct GrantDiff: Sendable, Hashable {
  package let revokes: Set<Grant>
  package let grants: Set<Grant>

  package init(desired: Set<Grant>, observed: Set<Grant>) {
    revokes = observed.subtracting(desired)
    grants = desired.subtracting(observed)
  }

  package var isEmpty: Bool { revokes.isEmpty && grants.isEmpty }

  /// The revokes, tables before their schemas and those before their database.
  package var revokeRectangles: [GrantRectangle] {
    let rectangles = GrantRectangle.rectangles(covering: revokes)
    return SecurableFamily.allCases.reversed().flatMap { family in rectangles.filter { $0.family == family } }
  }

  /// The grants, databases before their schemas and those before their tables.
  package var grantRectangles: [GrantRectangle] { GrantRectangle.rectangles(covering: grants) }
}
