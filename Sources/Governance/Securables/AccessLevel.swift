/// What a subscription allows on a data source. Write includes read.
package enum AccessLevel: String, Sendable, Hashable, CaseIterable, Comparable, Codable {
  case read
  case write

  package func includes(_ other: AccessLevel) -> Bool { self >= other }

  package static func < (left: AccessLevel, right: AccessLevel) -> Bool { left == .read && right == .write }

  /// The privileges this level needs on a securable of that kind.
  ///
  /// Write contains SELECT because an UPDATE or DELETE with a WHERE reads. Views and materialised views cannot be
  /// truncated; a foreign table could be, but that empties a table of another server, so it is left out.
  package func privileges(on kind: SecurableKind) -> Set<Privilege> {
    switch (kind, self) {
    case (.database, _): [.connect]
    case (.schema, _): [.usage]
    case (.sequence, .read): []
    case (.sequence, .write): [.usage]
    case (.materializedView, _), (.table, .read), (.partitionedTable, .read), (.view, .read), (.foreignTable, .read):
      [.select]
    case (.table, .write), (.partitionedTable, .write): [.select, .insert, .update, .delete, .truncate]
    case (.view, .write), (.foreignTable, .write): [.select, .insert, .update, .delete]
    }
  }
}
